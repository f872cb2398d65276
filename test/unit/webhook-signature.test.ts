// Signatures of webhooks: the vector that Standard Webhooks publishes, and what a receiver must not take for a message.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import {
  type ReceivedWebhook,
  verifyWebhook,
  WebhookError,
  type WebhookErrorCode,
  webhookTolerance,
} from '../../client/mod.ts';
import { readWebhookSecret, webhookSignature } from '../../protocol/webhook.ts';

/** libraries/javascript/src/webhook.test.ts of github.com/standard-webhooks/standard-webhooks, "sign function works". */
const vector = {
  secret: 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw',
  id: 'msg_p5jXN8AQM9LWM0D4loKWxJek',
  timestamp: 1614265330,
  body: '{"test": 2432232314}',
  signature: 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
};

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const secretOf = (fill: number, length = 32): string =>
  `whsec_${Buffer.alloc(length, fill).toString('base64')}`;
const secret = secretOf(7);
const requestId = `0x${'ab'.repeat(32)}`;
const workspaceId = `0x${'cd'.repeat(32)}`;
const sentAt = Date.parse('2030-01-01T00:00:00.000Z');
const content = {
  type: 'request.rejected',
  timestamp: '2029-12-31T23:59:00.000Z',
  data: { workspaceId, requestId, kind: 'sign', state: 'rejected', reason: 'approvers' },
};

interface Sent {
  readonly id?: string;
  readonly seconds?: number;
  readonly body?: string;
  readonly secrets?: readonly string[];
}

/** A message as a coordinator sends it, signed by a second implementation. */
function sent({
  id = 'evt_1',
  seconds = sentAt / 1000,
  body = JSON.stringify(content),
  secrets = [secret],
}: Sent = {}): { secret: string; headers: Record<string, string>; body: string; now: number } {
  const signatures = secrets.map((text) => {
    const key = Buffer.from(text.slice('whsec_'.length), 'base64');
    return `v1,${createHmac('sha256', key).update(`${id}.${seconds}.${body}`).digest('base64')}`;
  });
  const headers = {
    'webhook-id': id,
    'webhook-timestamp': String(seconds),
    'webhook-signature': signatures.join(' '),
  };
  return { secret, headers, body, now: sentAt };
}

function refuses(code: WebhookErrorCode, received: ReceivedWebhook, words = /./): void {
  assert.throws(
    () => verifyWebhook(received),
    (error) => {
      assert.ok(error instanceof WebhookError, String(error));
      assert.equal(error.code, code, error.message);
      assert.match(error.message, words);
      const shown = [received.secret].flat().some((text) => text.length > 20 && error.message.includes(text));
      assert.ok(!shown, 'the secret is in no message');
      return true;
    },
  );
}

const withHeader = (name: string, value: string | undefined): ReceivedWebhook => {
  const message = sent();
  const { [name]: _, ...others } = message.headers;
  return { ...message, headers: value === undefined ? others : { ...others, [name]: value } };
};

describe('signatures of webhooks', () => {
  it('are those of the published vector', () => {
    const { id, timestamp, body, signature } = vector;
    assert.equal(webhookSignature(readWebhookSecret(vector.secret), id, timestamp, bytes(body)), signature);
  });

  it('are verified with the published vector, which is no message of a coordinator', () => {
    const headers = {
      'webhook-id': vector.id,
      'webhook-timestamp': String(vector.timestamp),
      'webhook-signature': vector.signature,
    };
    const { secret: published, body } = vector;
    refuses('malformed', { secret: published, headers, body, now: vector.timestamp * 1000 });
    refuses('bad_signature', {
      secret: published,
      headers,
      body: `${body} `,
      now: vector.timestamp * 1000,
    });
  });
});

describe('verifyWebhook', () => {
  it('returns the message, whichever form headers and body have', () => {
    const { headers, body, now } = sent();
    const capitals = Object.fromEntries(
      Object.entries(headers).map(([name, value]) => [name.toUpperCase(), value]),
    );
    for (const form of [headers, new Headers(headers), capitals]) {
      for (const given of [body, bytes(body)])
        assert.deepEqual(verifyWebhook({ secret, headers: form, body: given, now }), {
          id: 'evt_1',
          ...content,
        });
    }
  });

  it('takes what a later coordinator says more, and types that it does not know', () => {
    const later = { ...content, type: 'workspace.changed', data: { workspaceId, more: [1] }, extra: true };
    const { type, data } = verifyWebhook(sent({ body: JSON.stringify(later) }));
    assert.deepEqual([type, data], ['workspace.changed', { workspaceId, more: [1] }]);
  });

  it('refuses any change of the body, the id and the time', () => {
    const { headers, body, now } = sent();
    for (let index = 0; index < body.length; index += 1) {
      const altered = bytes(body);
      altered[index] = altered[index]! ^ 1;
      refuses('bad_signature', { secret, headers, body: altered, now });
    }
    for (const altered of ['', ' ', body.slice(1), body.slice(0, -1), `${body}\n`])
      refuses('bad_signature', { secret, headers, body: altered, now });
    refuses('bad_signature', withHeader('webhook-id', 'evt_2'));
    refuses('bad_signature', withHeader('webhook-timestamp', String(sentAt / 1000 + 1)));
    // The full stops stand where they stood.
    refuses('bad_signature', withHeader('webhook-id', `evt_1.${sentAt / 1000}`));
  });

  it('refuses signatures of another secret, of another version, and parts of one', () => {
    const good = sent().headers['webhook-signature']!;
    const other = sent({ secrets: [secretOf(8)] }).headers['webhook-signature']!;
    const [, base64 = ''] = good.split(',');
    const unpadded = good.replace(/=+$/, '');
    for (const given of [other, `v2,${base64}`, `v1a,${base64}`, base64, good.slice(0, 8), 'v1,', unpadded])
      refuses('bad_signature', withHeader('webhook-signature', given));
    refuses('bad_signature', withHeader('webhook-signature', `${good}x`));
    // Among others it counts.
    assert.equal(verifyWebhook(withHeader('webhook-signature', `v2,x ${other} ${good}`)).id, 'evt_1');
  });

  it('lets secrets be exchanged by either side first', () => {
    const [old, fresh] = [secretOf(1), secretOf(2)];
    const both = sent({ secrets: [fresh, old] });
    for (const own of [old, fresh, [old, fresh], [fresh, secret]])
      assert.equal(verifyWebhook({ ...both, secret: own }).id, 'evt_1');
    assert.equal(verifyWebhook({ ...sent({ secrets: [fresh] }), secret: [old, fresh] }).id, 'evt_1');
    refuses('bad_signature', { ...both, secret });
    refuses('bad_signature', { ...both, secret: [] });
  });

  it('refuses what is older or newer than five minutes, and nothing within', () => {
    assert.equal(webhookTolerance, 300);
    const seconds = (offset: number): ReceivedWebhook => sent({ seconds: sentAt / 1000 + offset });
    for (const offset of [-300, -1, 0, 1, 300]) assert.equal(verifyWebhook(seconds(offset)).id, 'evt_1');
    refuses('too_old', seconds(-301), /301 seconds ago, more than 300/);
    refuses('too_new', seconds(301), /301 seconds in the future/);
    for (const now of [Number.NaN, Infinity]) refuses('too_old', { ...sent(), now });
    refuses('too_new', { ...sent(), now: -Infinity });
    const { now: _, ...ancient } = sent({ seconds: 1_614_265_330 });
    refuses('too_old', ancient);
  });

  it('refuses headers that are missing, repeated or no time', () => {
    for (const name of ['webhook-id', 'webhook-timestamp', 'webhook-signature']) {
      refuses('bad_header', withHeader(name, undefined), new RegExp(name));
      refuses('bad_header', withHeader(name, ''), new RegExp(name));
      const message = sent();
      const twice = [message.headers[name]!, message.headers[name]!];
      refuses('bad_header', { ...message, headers: { ...message.headers, [name]: twice } });
      refuses('bad_header', {
        ...message,
        headers: { ...message.headers, [name.toUpperCase()]: twice[0] },
      });
    }
    const times = ['hello', '-1', '1.5', '1e9', ' 1893456000', '01893456000', '0x70', `${'9'.repeat(13)}`];
    for (const time of times) refuses('bad_header', withHeader('webhook-timestamp', time));
  });

  it('refuses what is signed and no message', () => {
    const bodies = [
      '',
      '{',
      '[]',
      'null',
      '{"type":"request.pending"}',
      JSON.stringify({ ...content, type: '' }),
      JSON.stringify({ ...content, timestamp: 'yesterday' }),
      JSON.stringify({ ...content, data: { requestId } }),
      JSON.stringify({ ...content, data: { workspaceId, requestId: 'mine' } }),
    ];
    for (const body of bodies) refuses('malformed', sent({ body }));
  });

  it('refuses secrets that are none, without showing them', () => {
    const wrong = [
      '',
      'MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw',
      'whsec_',
      'whsec_not base64 at all, but long enough for it',
      secretOf(1, 23),
      secretOf(1, 65),
      `${secret}\n`,
      secret.replace('=', ''),
    ];
    for (const text of wrong) refuses('bad_secret', { ...sent(), secret: text }, /openssl rand/);
    for (const length of [24, 64]) assert.equal(readWebhookSecret(secretOf(1, length)).length, length);
  });
});
