// A coordinator in this process with everything the command line needs to work with it: a keyring of three parties, of
// which two sign, and a workspace of alice and bob. The parties are fakes with real keys.
import { openIdentity } from '../../client/identity/identity.ts';
import { parseCoordinatorConfig } from '../../coordinator/config.ts';
import { type RunningCoordinator, startCoordinator } from '../../coordinator/main.ts';
import type { Hex } from '../../protocol/hex.ts';
import { type CliOptions, type CliResult, CliWorld, type Json } from './cli-run.ts';
import { type FakeParties, fakeParties } from './fake-parties.ts';

const networkId = 'local-0badcafe';

export class CliNetwork {
  readonly world: CliWorld;
  readonly coordinator: RunningCoordinator;
  readonly parties: FakeParties;
  readonly keyringId: Hex;
  readonly workspaceId: Hex;

  private constructor(
    world: CliWorld,
    coordinator: RunningCoordinator,
    parties: FakeParties,
    ids: { readonly keyringId: Hex; readonly workspaceId: Hex },
  ) {
    this.world = world;
    this.coordinator = coordinator;
    this.parties = parties;
    this.keyringId = ids.keyringId;
    this.workspaceId = ids.workspaceId;
  }

  /** `policy`: the sign policy, as YAML. */
  static async start(policy: string): Promise<CliNetwork> {
    const world = await CliWorld.make();
    const path = (...names: string[]): string => world.path(...names);
    const config = parseCoordinatorConfig({
      networkId,
      dir: path('coordinator'),
      listen: { port: 0 },
      create: 'open',
    });
    const coordinator = await startCoordinator({ config, log: () => undefined, version: '0.0.0-test' });
    const json = (words: string): Promise<Json> => world.json(words.split(' '));
    try {
      for (const name of ['alice', 'bob', 'admin']) await json(`identity new ${name}`);
      await json(`profile set networkId ${networkId}`);
      await json(`profile set coordinator ${coordinator.url}`);
      await json('profile set identity alice');
      const seeds: Uint8Array[] = [];
      const names = ['acme', 'blue', 'core'];
      for (const name of names) {
        await json(`node init --dir ${path(name)} --name ${name} --network ${networkId}`);
        seeds.push((await openIdentity(path(name, 'identity.json'), 'right')).seed);
      }
      const introductions = names.map((name) => path(name, 'party.json')).join(' ');
      const roster = path('roster.json');
      await json(`keyring draft ${introductions} --name main --threshold 2 --admin admin --out ${roster}`);
      const copies = names.map((name) => path(`${name}.json`));
      for (const [index, name] of names.entries())
        await json(`node join ${roster} --dir ${path(name)} --yes --out ${copies[index]}`);
      const { keyringId } = await json(`keyring create ${copies.join(' ')}`);
      const owners = [];
      for (const name of ['alice', 'bob'])
        owners.push(`--owner ${name}=${(await json(`identity show ${name}`)).credential}`);
      const { workspaceId } = await json(
        `workspace create --name treasury ${owners.join(' ')} --keyring ${keyringId} ` +
          `--sign-policy ${await world.write('policy.yaml', policy)}`,
      );
      const parties = fakeParties(coordinator.url, networkId, keyringId, seeds);
      return new CliNetwork(world, coordinator, parties, { keyringId, workspaceId });
    } catch (error) {
      await coordinator.stop();
      await world.remove();
      throw error;
    }
  }

  /** Words are separated by single spaces. */
  async run(words: string, options?: CliOptions): Promise<CliResult> {
    return await this.world.run(words.split(' '), options);
  }

  async json(words: string, options?: CliOptions): Promise<Json> {
    return await this.world.json(words.split(' '), options);
  }

  async stop(): Promise<void> {
    await this.coordinator.stop();
    await this.world.remove();
  }
}
