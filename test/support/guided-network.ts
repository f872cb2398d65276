// A network brought up by following docs/operators.md to the letter: an admin, a coordinator and three operators, who
// exchange the files that the guide says are exchanged, and no others.
import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { section, type Step, stepsOf } from './guide.ts';
import { Person, whyNoUsers } from './person.ts';

/** Names of the parties, as the guide's commands of the admin give them. */
export const guidedParties = ['acme', 'blue', 'core'];

export interface GuidedNetworkOptions {
  /** The whole document. */
  readonly guide: string;
  /** Path of the runtime, and of the command line's main file. */
  readonly node: string;
  readonly main: string;
  /** Whether everybody is a user of their own, where that can be had. */
  readonly users: boolean;
}

/** An address of this machine's own network that no other test uses, where there are more than one. */
function ownHost(): string {
  if (process.platform !== 'linux') return '127.0.0.1';
  return `127.${randomInt(1, 255)}.${randomInt(1, 255)}.${randomInt(1, 255)}`;
}

export class GuidedNetwork {
  readonly people: ReadonlyMap<string, Person>;
  /** Why everybody is the same user, where they were to be separate ones. */
  readonly sameUser: string | undefined;
  readonly #guide: string;
  readonly #scratch: string;
  readonly #coordinatorHost = ownHost();
  readonly #nodeAddresses = new Map(guidedParties.map((name) => [name, `/ip4/${ownHost()}/tcp/4151`]));

  private constructor(
    guide: string,
    scratch: string,
    people: ReadonlyMap<string, Person>,
    sameUser: string | undefined,
  ) {
    this.#guide = guide;
    this.#scratch = scratch;
    this.people = people;
    this.sameUser = sameUser;
  }

  /** Everybody at a shell, with the command installed, before the guide's second command. */
  static async arrive({ guide, node, main, users }: GuidedNetworkOptions): Promise<GuidedNetwork> {
    const scratch = await mkdtemp(join(tmpdir(), 'cs-'));
    await chmod(scratch, 0o711);
    const bin = join(scratch, 'bin');
    await mkdir(bin, { mode: 0o755 });
    await writeFile(join(bin, 'countersign'), `#!/bin/sh\nexec ${node} ${main} "$@"\n`, { mode: 0o755 });
    const firstUser = 200_000 + randomInt(0, 50_000) * 10;
    const sameUser = users ? await whyNoUsers(firstUser, main) : undefined;
    const people = new Map<string, Person>();
    for (const [index, name] of ['admin', 'coordinator', ...guidedParties].entries()) {
      const user = users && sameUser === undefined ? firstUser + index : undefined;
      const path = `${bin}:${dirname(node)}`;
      people.set(name, await Person.arrive({ name, within: scratch, user, path }));
    }
    return new GuidedNetwork(guide, scratch, people, sameUser);
  }

  /** Does what a section of the guide says; `install` blocks are left out, since the command is there. */
  async follow(heading: string): Promise<void> {
    for (const step of stepsOf(section(this.#guide, heading))) {
      if (step.kind === 'send') await this.#handOver(step);
      else if (step.role !== 'install') await this.#type(step);
    }
  }

  /** Everything that a person was shown. */
  said(name: string): string {
    return this.people.get(name)?.said ?? '';
  }

  /** Where a person keeps their files. */
  folder(name: string): string {
    return join(this.#scratch, name);
  }

  /** Ends everybody's processes, and removes their files. */
  async leave(): Promise<void> {
    await Promise.all([...this.people.values()].map((person) => person.leave()));
    await rm(this.#scratch, { recursive: true, force: true, maxRetries: 5 });
  }

  #inRole(role: string): Person[] {
    return (role === 'operator' ? guidedParties : [role]).map((name) => {
      const person = this.people.get(name);
      assert(person, `${role} is nobody`);
      return person;
    });
  }

  async #handOver(step: Step & { kind: 'send' }): Promise<void> {
    for (const from of this.#inRole(step.from)) {
      const as = step.as.replace('$PARTY', from.name);
      for (const to of this.#inRole(step.to)) await to.take(join(from.folder, step.file), as);
    }
  }

  async #type(step: Step & { kind: 'run' | 'set' }): Promise<void> {
    const typing = this.#inRole(step.role).map(async (person) => {
      if (step.kind === 'run') return await person.type(step.script);
      const values = step.names.map((name) => `${name}='${this.#known(name, person.name)}'`);
      return await person.type(`${values.join('\n')}\n`);
    });
    await Promise.all(typing);
  }

  /** What a person reads off a screen, hears, or has agreed on. */
  #known(name: string, person: string): string {
    const shown = (who: string, what: RegExp): string => {
      const found = what.exec(this.said(who))?.[1];
      assert(found, `${who} was not shown ${String(what)}:\n${this.said(who)}`);
      return found;
    };
    const known: Readonly<Record<string, () => string | undefined>> = {
      PARTY: () => person,
      NETWORK: () => 'operators-network',
      LISTEN: () => this.#nodeAddresses.get(person),
      ANNOUNCE: () => this.#nodeAddresses.get(person),
      COORDINATOR: () => `http://${this.#coordinatorHost}:7000`,
      HOST: () => this.#coordinatorHost,
      PORT: () => '7000',
      FINGERPRINT: () => shown('admin', /^fingerprint +(.+)$/m),
      PEER: () => shown(person, /^peer id +(\S+)$/m),
      NODE: () => `${this.#nodeAddresses.get(person)}/p2p/${shown(person, /^peer id +(\S+)$/m)}`,
      CONNECTOR: () => shown(person, /^connector key +(\S+)$/m),
      KEYRING: () => shown('admin', /^id +(0x\S+)$/m),
    };
    const value = known[name]?.();
    assert(value, `nobody knows ${name}`);
    return value;
  }
}
