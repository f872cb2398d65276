// Party results: whose count, what the count means, and that nothing else ends a request (protocol, section 4).
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { requestView } from '../../coordinator/state/views.ts';
import { addSignature, createRecord, type Envelope, type Signer } from '../../protocol/records/envelope.ts';
import { type PartyResult, partyResult } from '../../protocol/records/party-result.ts';
import {
  type Coordinated,
  first,
  payload,
  pending,
  type Ring,
  ring,
  rings,
  type Signing,
} from '../support/coordinated.ts';
import {
  createWorld,
  hour,
  messagePayload,
  networkId,
  resultBy,
  signerOf,
  start,
} from '../support/fixture.ts';
import { otherSignatureBy, refusedBy, signatureBy, signedBy } from '../support/world-key.ts';

const mallory = signerOf('mallory');

/** A party's result with another content than the honest one, validly signed by `signer`. */
function resultWith(signing: Coordinated, change: Partial<PartyResult>, signer: Signer): Envelope {
  const content: PartyResult = {
    networkId,
    subject: signing.id,
    keyringId: signing.world.keyring.id,
    epoch: signing.world.keyring.epoch,
    party: signer.credential,
    result: { kind: 'refusal', code: 'not_authorised', reason: 'policy' },
    ...change,
  };
  return createRecord({ ...partyResult, signers: () => [] }, content, signer);
}

for (const { t, n, ...rest } of rings) {
  const edge = { t, n, ...rest };
  describe(`threshold edges of ${t}/${n}`, () => {
    it(`${t - 1} results leave it pending, ${t} fulfil it, with every combination of parties`, () => {
      for (const combination of combinations(first(n), t)) {
        const signing = pending(edge);
        for (const party of combination.slice(0, -1)) signing.sign(party);
        assert.equal(signing.request.state, 'pending');
        assert.deepEqual(signing.votes, { have: t - 1, need: t, refused: 0 });
        signing.sign(combination.at(-1)!);
        assert.equal(signing.request.state, 'fulfilled');
        assert.deepEqual(signing.votes, { have: t, need: t, refused: 0 });
        assert.equal(signing.request.signatures?.[0], signatureBy(signing.key, payload));
      }
    });

    it(`${n - t} refusals leave it pending, one more rejects it`, () => {
      const signing = pending(edge);
      for (const party of first(n - t)) signing.refuse(party);
      assert.equal(signing.request.state, 'pending');
      signing.refuse(n - t);
      assert.equal(signing.request.state, 'rejected');
      assert.equal(signing.request.reason?.code, 'parties');
      assert.equal(requestView(signing.request, signing.context, start).mayHaveBeenSigned, true);
    });

    it(`${n - t} refusals and ${t} results fulfil it, in any order`, () => {
      for (const refusalsFirst of [true, false]) {
        const signing = pending(edge);
        const refuse = () => first(n - t).forEach((party) => signing.refuse(party));
        const sign = () => first(t - 1).forEach((index) => signing.sign(n - t + index));
        if (refusalsFirst) refuse();
        sign();
        if (!refusalsFirst) refuse();
        assert.equal(signing.request.state, 'pending');
        signing.sign(n - 1);
        assert.equal(signing.request.state, 'fulfilled');
        assert.deepEqual(signing.votes, { have: t, need: t, refused: n - t });
      }
    });

    it(`${t} results of one party count once`, () => {
      const signing = pending(edge);
      for (const _ of first(t + 1)) signing.sign(0);
      assert.deepEqual(signing.votes, { have: 1, need: t, refused: 0 });
      assert.equal(signing.request.state, 'pending');
      assert.equal(signing.happened.filter((event) => event === 'result').length, 1);
    });

    it('refusals of one party count once', () => {
      const signing = pending(edge);
      for (const at of first(n)) {
        const { conflict } = signing.result(signing.refusal(0, at === 0 ? 'policy' : `again ${at}`));
        assert.equal(conflict, at > 0);
      }
      assert.deepEqual(signing.votes, { have: 0, need: t, refused: 1 });
      assert.equal(signing.request.state, n === t ? 'rejected' : 'pending');
    });
  });
}

function combinations(items: readonly number[], size: number): number[][] {
  if (size === 0) return [[]];
  return items.flatMap((item, index) =>
    combinations(items.slice(index + 1), size - 1).map((rest) => [item, ...rest]),
  );
}

describe('results that are worth nothing', () => {
  const { world, key } = ring;
  const [one, two] = world.parties as [Signer, Signer];
  const neighbour = createWorld({ name: 'neighbour' });
  const honest = { kind: 'signatures' as const, signatures: [signatureBy(key, payload)] };
  const wrong = `0x${'11'.repeat(64)}` as const;
  const cases: [string, 'forbidden' | 'bad_signature' | 'invalid_params', (signing: Signing) => Envelope][] =
    [
      ['an outsider’s signature', 'forbidden', (s) => resultBy(world, mallory, s.id, honest)],
      ['an outsider’s refusal', 'forbidden', (s) => refusedBy(world, mallory, s.id)],
      [
        'a party of another keyring',
        'forbidden',
        (s) => signedBy(world, neighbour.parties[0]!, s.id, honest.signatures),
      ],
      ['an owner', 'forbidden', (s) => refusedBy(world, world.owners['alice']!, s.id)],
      [
        'an outsider in a party’s name',
        'bad_signature',
        (s) => resultWith(s, { party: one.credential }, mallory),
      ],
      ['a party in another’s name', 'bad_signature', (s) => resultWith(s, { party: one.credential }, two)],
      ['no signature', 'bad_signature', (s) => ({ ...s.signature(0), signatures: [] })],
      [
        'a signature of something else',
        'bad_signature',
        (s) => ({ ...s.signature(0), signatures: s.refusal(0).signatures }),
      ],
      ['another request', 'invalid_params', (s) => resultWith(s, { subject: key.id }, one)],
      ['another keyring', 'invalid_params', (s) => resultWith(s, { keyringId: neighbour.keyring.id }, one)],
      ['a later run', 'invalid_params', (s) => resultWith(s, { epoch: { roster: 1, run: 1 } }, one)],
      ['a later roster', 'invalid_params', (s) => resultWith(s, { epoch: { roster: 2, run: 0 } }, one)],
      ['another network', 'invalid_params', (s) => resultWith(s, { networkId: 'other-network' }, one)],
      ['a key', 'invalid_params', (s) => resultBy(world, one, s.id, key.result)],
      ['no item’s signature', 'bad_signature', (s) => s.signature(0, [wrong])],
      [
        'a signature of another payload',
        'bad_signature',
        (s) => s.signature(0, [signatureBy(key, messagePayload('x'))]),
      ],
      [
        'too many signatures',
        'invalid_params',
        (s) => s.signature(0, [...honest.signatures, ...honest.signatures]),
      ],
      ['another record', 'invalid_params', () => key.request],
    ];
  for (const [what, code, make] of cases) {
    it(`${what}: nothing changes, before, during and after`, () => {
      const signing = pending();
      const check = () => signing.unchangedBy(code, () => signing.result(make(signing)));
      check();
      signing.sign(0);
      check();
      signing.sign(1);
      assert.equal(signing.request.state, 'fulfilled');
      check();
      const rejected = pending().expire(start + hour);
      rejected.unchangedBy(code, () => rejected.result(make(rejected)));
    });
  }

  it('an outsider beside the party in one record changes nothing about whose it is', () => {
    const signing = pending();
    signing.result(addSignature(signing.signature(0), networkId, mallory));
    assert.deepEqual(signing.votes, { have: 1, need: 2, refused: 0 });
    signing.unchangedBy('forbidden', () =>
      signing.result(addSignature(refusedBy(world, mallory, signing.id), networkId, one)),
    );
  });

  it('many outsiders do not reject', () => {
    const signing = pending();
    for (let index = 0; index < 10; index++) {
      signing.unchangedBy('forbidden', () =>
        signing.result(refusedBy(world, signerOf('outsider', index), signing.id)),
      );
    }
    assert.equal(signing.request.state, 'pending');
  });
});

describe('any sequence of results', () => {
  const [three, five] = rings as [Ring, Ring];
  const action = fc.record({
    party: fc.nat({ max: 5 }),
    what: fc.constantFrom('sign', 'sign differently', 'refuse', 'bad signature', 'forged'),
  });

  it('counts as a plain tally does', () => {
    fc.assert(
      fc.property(fc.constantFrom(three, five), fc.array(action, { maxLength: 14 }), (edge, actions) => {
        const signing = pending(edge);
        const said = new Map<number, 'signed' | 'refused'>();
        let state = 'pending';
        for (const { party, what } of actions) {
          const member = edge.world.parties[party] ?? mallory;
          const signatures = {
            sign: [signatureBy(edge.key, payload)],
            'sign differently': [otherSignatureBy(edge.key, payload)],
          }[what as string] ?? [`0x${'00'.repeat(64)}` as const];
          const honest =
            what === 'refuse'
              ? refusedBy(edge.world, member, signing.id)
              : signedBy(edge.world, member, signing.id, signatures);
          try {
            signing.result(
              what === 'forged' ? { ...honest, signatures: signing.key.certificate[0]!.signatures } : honest,
            );
          } catch (error) {
            assert.equal((error as Error).name, 'StateError');
          }
          const worthless = party >= edge.n || what === 'bad signature' || what === 'forged';
          if (!worthless && state !== 'rejected') {
            if (!said.has(party)) said.set(party, what === 'refuse' ? 'refused' : 'signed');
            else if (what !== 'refuse' && state === 'pending') said.set(party, 'signed');
          }
          const have = [...said.values()].filter((each) => each === 'signed').length;
          const refused = said.size - have;
          if (state === 'pending' && have >= edge.t) state = 'fulfilled';
          else if (state === 'pending' && refused > edge.n - edge.t) state = 'rejected';
          assert.equal(signing.request.state, state);
          assert.deepEqual(signing.votes, { have, need: edge.t, refused });
        }
      }),
      { numRuns: 60 },
    );
  });
});
