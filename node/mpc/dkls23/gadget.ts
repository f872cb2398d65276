// The gadget g of DKLs23 (ePrint 2023/765, protocol 5.2): uniform scalars, the same for everybody and for ever. A secret b
// is spread over xi = 256 + 2 * 80 choice bits, b = sum g_j beta_j, which is within 2^-80 of uniform (leftover hash lemma):
// the few bits that somebody guesses before a guess fails say nothing of b.
import { GADGET_LENGTH } from './parameters.ts';
import { xofScalars } from './xof.ts';

/** 416 scalars of secp256k1. Frozen by test/vectors/dkls23-product.json. */
export const gadget: readonly bigint[] = xofScalars('countersign/v1/dkls23/gadget', GADGET_LENGTH);
