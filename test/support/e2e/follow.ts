import { waitFor } from '../../../src/base/time.ts';
import type { NodeProcess } from '../node/types.ts';
import type { Cluster } from './cluster.ts';
import { nodePaths } from './product.ts';

/** kubectl in the background of the controller, ended at the end of the block. */
export interface Follower extends AsyncDisposable {
  readonly process: NodeProcess;
  /** Waits for a line that came after this call and contains `text`. */
  saysNext(text: string, timeoutMs?: number): Promise<void>;
}

export function follow(cluster: Cluster, args: readonly string[]): Follower {
  const process = cluster.node.spawn([nodePaths.executable, 'kubectl', ...args]);
  return {
    process,
    saysNext: async (text, timeoutMs = 15_000) => {
      const before = process.output().length;
      await waitFor(() => process.output().slice(before).includes(text), {
        subject: `"${text}" from kubectl ${args.join(' ')}`,
        timeoutMs,
        describe: () => `${process.output().slice(-500)} (exit ${process.exitCode})`,
      });
    },
    [Symbol.asyncDispose]: async () => {
      if (process.exitCode === undefined) process.kill();
      await process.exited;
    },
  };
}
