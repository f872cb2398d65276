// The gadget g of DKLs23 (ePrint 2023/765, section 5.1): uniform scalars, the same for everybody and for ever. A secret b
// is spread over many choice bits, b = sum g_j beta_j, so that few leaked bits say nothing of it (its Lemma on the
// leftover hash of inner products needs xi = 256 + 2 * 80 of them).
import { GADGET_LENGTH } from './parameters.ts';
import { xofScalars } from './xof.ts';

/** 416 scalars of secp256k1. Frozen by test/vectors/dkls23-product.json. */
export const gadget: readonly bigint[] = xofScalars('countersign/v1/dkls23/gadget', GADGET_LENGTH);
