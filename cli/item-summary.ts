// What the items of a request do, for people: inputs of one Bitcoin transaction are told as that one transaction.
import { formatBitcoin } from '../protocol/payloads/bitcoin-psbt.ts';
import type { DecodedPayload } from '../protocol/payloads/payload.ts';

/** The transaction that a payload belongs to with others; undefined when it stands alone. */
function transactionOf({ facts }: DecodedPayload): string | undefined {
  if (facts.kind !== 'bitcoin.psbt') return undefined;
  const { inputs, outputs, lockTime, version } = facts;
  // Amounts and scripts of what is spent belong to it, for the fee follows from them: items that claim different ones are
  // not one transaction, whatever their ids.
  return JSON.stringify([
    inputs.map(({ txid, index, sequence, script, amount }) => [txid, index, sequence, script, amount]),
    outputs.map(({ script, amount }) => [script, amount]),
    lockTime,
    version,
  ]);
}

/** Lines for each item: the whole summary, or that it is one more input of a transaction that was told before. */
export function summaryOf(payloads: readonly DecodedPayload[]): (readonly string[])[] {
  const told = new Map<string, number>();
  return payloads.map((payload, index) => {
    const transaction = transactionOf(payload);
    const first = transaction === undefined ? undefined : told.get(transaction);
    if (transaction !== undefined && first === undefined) told.set(transaction, index);
    if (first === undefined || payload.facts.kind !== 'bitcoin.psbt') return payload.summary;
    const { input, inputs } = payload.facts;
    const { amount, txid, index: output } = inputs[input]!;
    return [
      `Input ${input} of the same transaction: ${formatBitcoin(BigInt(amount))} of ${txid.slice(2)}:${output}`,
    ];
  });
}
