// Scenes for attacks on the agreement about attempts, and what must hold at their end.
import assert from 'node:assert/strict';
import type { Evidence } from '../../protocol/authorize.ts';
import type { Hex } from '../../protocol/hex.ts';
import type { SessionErrorCode } from '../../node/sessions/error.ts';
import { signerOf } from './fixture.ts';
import { Attacker, framesSent, KeyedNetwork } from './session-attacker.ts';

export const stranger = signerOf('stranger');

export interface Scene {
  readonly net: KeyedNetwork;
  readonly attacker: Attacker;
  readonly honest: readonly number[];
  readonly id: Hex;
  readonly full: Evidence;
}

/** The attacker is the last party and the first leader; the others have the request. */
export async function scene(
  parties: number,
  threshold: number,
  make = async (): Promise<KeyedNetwork> => await KeyedNetwork.create(parties, threshold),
): Promise<Scene> {
  const net = await make();
  const attacker = new Attacker(net, parties - 1);
  const honest = Array.from({ length: parties - 1 }, (_, index) => index);
  for (const index of honest) await net.boot(index);
  const { id, full } = net.messageLedBy(attacker.index);
  for (const index of honest) await net.node(index).sessions.submit(full);
  return { net, attacker, honest, id, full };
}

/** Codes under which party 0 has logged that a message, or an attempt, came to nothing. */
export function codesAt(net: KeyedNetwork, index = 0): { code: unknown; culprit: unknown }[] {
  const lines = [...net.logged(index, 'session.message_rejected'), ...net.logged(index, 'session.aborted')];
  return lines.map(({ code, culprit }) => ({ code, culprit }));
}

export function assertRefused({ net }: Scene, code: SessionErrorCode, culprit?: string): void {
  const found = codesAt(net).find((each) => each.code === code);
  assert(found, `${code} among ${JSON.stringify(codesAt(net))}`);
  assert.equal(found.culprit, culprit);
}

/** No share has left an honest party. */
export function assertNoRounds({ net, honest }: Scene): void {
  for (const index of honest)
    assert.deepEqual(framesSent(net, net.node(index).party.credential, 'round'), []);
}

export async function assertFulfilled({ net, honest, id }: Scene): Promise<void> {
  for (const index of honest) assert(!net.node(index).store.finished.has(id), 'nothing is stored yet');
  await net.signedBy(id, honest);
  for (const index of honest) {
    assert.equal(
      framesSent(net, net.node(index).party.credential, 'abort').some(({ frame }) => {
        const { culprit } = frame.content;
        return culprit !== undefined && honest.some((each) => net.node(each).party.credential === culprit);
      }),
      false,
      'nobody honest is blamed',
    );
  }
  await net.stop();
}
