// An Ethereum node in a process of its own, for the local testnet and for tests: anvil mines a block for every transaction, on
// a chain of its own that begins empty and ends with the process. Its port is one that the system chooses, on this machine only.
import { type ChildProcess, spawn } from 'node:child_process';
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { fromHex, type Hex } from '../../protocol/hex.ts';

export type EvmChainErrorCode =
  | 'not_installed' // anvil has no build for this platform, or was left out
  | 'not_started' // the node ended, or did not listen in time
  | 'refused'; // the node answered with an error

export class EvmChainError extends Error {
  override readonly name = 'EvmChainError';
  readonly code: EvmChainErrorCode;
  constructor(code: EvmChainErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** What became of a transaction that is in a block. */
export interface Mined {
  readonly ok: boolean;
  readonly hash: Hex;
  readonly from: string;
  readonly gasUsed: bigint;
  /** Wei for a unit of gas. */
  readonly gasPrice: bigint;
}

export interface EvmChain {
  readonly chainId: number;
  /** Of the node's process. */
  readonly pid: number;
  /** Sets what an account has, in wei. */
  fund(address: string, wei: bigint): Promise<void>;
  /** Wei. */
  balance(address: string): Promise<bigint>;
  nonce(address: string): Promise<number>;
  /** Sends a signed transaction and has it mined. Throws EvmChainError `refused` with the node's reason. */
  send(transaction: Hex): Promise<Mined>;
  /** Ends the process, and resolves once it has ended. */
  stop(): Promise<void>;
}

const chainId = 31_337;
const startMs = 30_000;
const callMs = 30_000;
const pollMs = 20;
/** Packages of anvil's program, by platform and architecture. */
const packages: Readonly<Record<string, string>> = {
  'linux x64': '@foundry-rs/anvil-linux-amd64/bin/anvil',
  'linux arm64': '@foundry-rs/anvil-linux-arm64/bin/anvil',
  'darwin x64': '@foundry-rs/anvil-darwin-amd64/bin/anvil',
  'darwin arm64': '@foundry-rs/anvil-darwin-arm64/bin/anvil',
  'win32 x64': '@foundry-rs/anvil-win32-amd64/bin/anvil.exe',
};

/**
 * Path of anvil's program, which is a development dependency: itself and not the script that starts it, so that the process
 * that is ended is the node. Throws EvmChainError `not_installed`.
 */
export function anvilProgram(
  resolve: (name: string) => string = (name) => createRequire(import.meta.url).resolve(name),
): string {
  try {
    return resolve(packages[`${process.platform} ${process.arch}`] ?? '@foundry-rs/anvil-none');
  } catch (cause) {
    throw new EvmChainError(
      'not_installed',
      `the Ethereum node (anvil) is not installed for ${process.platform}-${process.arch}: in a checkout run "npm ci" ` +
        'without --omit=dev and --omit=optional, beside the installed package "npm install @foundry-rs/anvil@1.7.1"',
      { cause },
    );
  }
}

/** Resolves with the address that the node says it listens on. */
async function listening(child: ChildProcess): Promise<string> {
  const lines = createInterface({ input: child.stdout! });
  try {
    return await new Promise<string>((resolve, reject) => {
      const fail = (why: string): void =>
        reject(new EvmChainError('not_started', `the Ethereum node ${why}`));
      const timer = setTimeout(() => fail(`did not listen within ${startMs / 1000} s`), startMs);
      child.once('error', (error) => fail(`could not be started: ${error.message}`));
      child.once('exit', (code, signal) => fail(`ended with ${signal ?? code} before it listened`));
      lines.on('line', (line) => {
        const address = /^Listening on (127\.0\.0\.1:[0-9]+)$/.exec(line)?.[1];
        if (address === undefined) return;
        clearTimeout(timer);
        resolve(address);
      });
      lines.once('close', () => clearTimeout(timer));
    });
  } finally {
    lines.close();
    child.stdout!.resume();
  }
}

async function stopProcess(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
  const ended = new Promise((resolve) => child.once('exit', resolve));
  // It keeps nothing that it would have to write.
  child.kill('SIGKILL');
  await ended;
}

/**
 * Starts a node with a chain of its own. It is to be stopped by whoever started it.
 *
 * @throws {EvmChainError} `not_installed`, `not_started`
 */
export async function startEvmChain(program: string = anvilProgram()): Promise<EvmChain> {
  const options = ['--port', '0', '--host', '127.0.0.1', '--chain-id', String(chainId), '--accounts', '1'];
  const child = spawn(program, options, { stdio: ['ignore', 'pipe', 'ignore'] });
  const kill = (): void => void child.kill('SIGKILL');
  process.once('exit', kill);
  const stop = async (): Promise<void> => {
    process.off('exit', kill);
    await stopProcess(child);
  };
  let url: string;
  try {
    url = `http://${await listening(child)}`;
  } catch (error) {
    await stop();
    throw error;
  }
  let id = 0;
  async function call(method: string, ...params: readonly unknown[]): Promise<unknown> {
    const response = await fetch(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ jsonrpc: '2.0', id: (id += 1), method, params }),
      signal: AbortSignal.timeout(callMs),
    });
    const { result, error } = (await response.json()) as { result?: unknown; error?: { message: string } };
    if (error !== undefined)
      throw new EvmChainError('refused', `the Ethereum node refused ${method}: ${error.message}`);
    return result;
  }
  /** The node mines beside its answers: the receipt is there a moment later. */
  async function receiptOf(hash: Hex): Promise<Record<string, string>> {
    const end = Date.now() + callMs;
    for (;;) {
      const receipt = await call('eth_getTransactionReceipt', hash);
      if (receipt !== null) return receipt as Record<string, string>;
      if (Date.now() > end)
        throw new EvmChainError('refused', `the Ethereum node took transaction ${hash}, but did not mine it`);
      await delay(pollMs);
    }
  }
  return {
    chainId,
    pid: child.pid!,
    async fund(address, wei) {
      await call('anvil_setBalance', address, `0x${wei.toString(16)}`);
    },
    balance: async (address) => BigInt((await call('eth_getBalance', address, 'latest')) as string),
    nonce: async (address) => Number(await call('eth_getTransactionCount', address, 'latest')),
    async send(transaction) {
      fromHex(transaction);
      const hash = (await call('eth_sendRawTransaction', transaction)) as Hex;
      const receipt = await receiptOf(hash);
      return {
        ok: receipt.status === '0x1',
        hash,
        from: receipt.from!,
        gasUsed: BigInt(receipt.gasUsed!),
        gasPrice: BigInt(receipt.effectiveGasPrice!),
      };
    },
    stop,
  };
}
