// All webhooks of a coordinator. They hear which streams have grown, read them, and tell their receivers; nothing waits for
// them, and what they have not told yet is where it was at the next start.
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Hex } from '../../protocol/hex.ts';
import { workspaceStream } from '../index-keys.ts';
import type { WebhookConfig } from './config.ts';
import { workspacesOf } from './cursors.ts';
import { post } from './post.ts';
import { defaultSchedule, type Schedule } from './schedule.ts';
import { readWebhookSecrets } from './secret-file.ts';
import { type SenderOptions, type Webhook, WebhookSender } from './sender.ts';

/** Reads the secrets of what is configured. Throws WebhookSecretError. */
export async function loadWebhooks(configured: readonly WebhookConfig[]): Promise<readonly Webhook[]> {
  return Promise.all(
    configured.map(async ({ name, url, secretFile, workspaces, events }) => ({
      name,
      url,
      secrets: await readWebhookSecrets(secretFile),
      workspaces,
      events,
    })),
  );
}

export interface WebhooksOptions
  extends Omit<SenderOptions, 'post' | 'schedule'>, Partial<Pick<SenderOptions, 'post'>> {
  readonly webhooks: readonly Webhook[];
  readonly schedule?: Partial<Schedule>;
}

export class Webhooks {
  readonly #options: WebhooksOptions;
  readonly #senders: readonly WebhookSender[];
  readonly #stopped = new AbortController();
  #seeking: Promise<void> = Promise.resolve();

  constructor(options: WebhooksOptions) {
    this.#options = options;
    const given = { post, ...options, schedule: { ...defaultSchedule, ...options.schedule } };
    this.#senders = options.webhooks.map((webhook) => new WebhookSender(webhook, given));
  }

  /** Called before anything can change in the store: fixes where new webhooks begin. Throws StoreError. */
  async start(): Promise<void> {
    for (const sender of this.#senders) await sender.begin();
    // What an earlier run did not tell, beside everything else.
    this.#seeking = this.#seek().catch((error: unknown) => {
      if (!this.#stopped.signal.aborted)
        this.#options.log('webhook.failed', { level: 'error', detail: (error as Error).message });
    });
  }

  async #seek(): Promise<void> {
    for await (const page of workspacesOf(this.#options.store)) {
      if (this.#stopped.signal.aborted) return;
      for (const workspaceId of page) this.#notice(workspaceId);
      await nextTurn();
    }
  }

  /** A stream has grown. */
  heard(stream: string): void {
    const prefix = workspaceStream('' as Hex);
    if (stream.startsWith(prefix)) this.#notice(stream.slice(prefix.length) as Hex);
  }

  #notice(workspaceId: Hex): void {
    for (const sender of this.#senders) sender.notice(workspaceId);
  }

  /** Of each webhook the age of the oldest event that it has not told yet, in milliseconds; 0 when there is none. */
  backlog(): readonly { readonly name: string; readonly ageMs: number }[] {
    return this.#senders.map((sender) => ({ name: sender.name, ageMs: sender.backlogMs() }));
  }

  /** Cuts off attempts that are under way. */
  async stop(): Promise<void> {
    this.#stopped.abort();
    await Promise.all([this.#seeking, ...this.#senders.map((sender) => sender.stop())]);
  }
}
