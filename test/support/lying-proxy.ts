// A view of a coordinator that changes what single methods answer, for tests of whoever reads those answers.
import type { Json } from './cli-run.ts';
import { LyingView } from './lying-coordinator.ts';

export type Lie = (method: string, result: Json) => unknown;

export interface LyingProxy {
  readonly url: string;
  /** Undefined: passes answers on as they are. */
  lie: Lie | undefined;
  /** Methods that were called. */
  readonly calls: string[];
  stop(): Promise<void>;
}

export async function startLyingProxy(target: () => string): Promise<LyingProxy> {
  const view = await LyingView.open(target);
  const proxy: LyingProxy = { url: view.url, lie: undefined, calls: [], stop: () => view.stop() };
  view.answer = async ({ method }, honest) => {
    proxy.calls.push(method);
    const result = await honest();
    return proxy.lie === undefined ? result : proxy.lie(method, result);
  };
  return proxy;
}
