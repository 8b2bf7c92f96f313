import { stat } from 'node:fs/promises';
import type { TestNode } from '../support/node/types.ts';

export interface CliResult {
  readonly executableBytes: number;
  /** One value per call, with everything in the page cache. */
  readonly versionMs: readonly number[];
  /** One value per call, each after the page cache was dropped. */
  readonly coldVersionMs: readonly number[];
}

export interface CliOptions {
  /** Path in the node, and on the host. */
  readonly executable: string;
  readonly hostExecutable: string;
}

const CALLS = 20;
const COLD_CALLS = 3;

/** bash's own clock: another process between the two readings would be measured too. */
const TIMED_CALL = `start=$EPOCHREALTIME; "$0" --version >/dev/null; end=$EPOCHREALTIME
  echo $(( (\${end/./} - \${start/./}) ))`;

/** How large the executable is and how quickly it answers, on an otherwise empty node. */
export async function measureCli(node: TestNode, options: CliOptions): Promise<CliResult> {
  const { executable, hostExecutable } = options;
  const coldVersionMs: number[] = [];
  for (let call = 0; call < COLD_CALLS; call += 1) {
    await node.dropCaches();
    coldVersionMs.push(...(await timedCalls(node, { executable, calls: 1 })));
  }
  return {
    executableBytes: (await stat(hostExecutable)).size,
    coldVersionMs,
    versionMs: await timedCalls(node, { executable, calls: CALLS }),
  };
}

async function timedCalls(
  node: TestNode,
  { executable, calls }: { readonly executable: string; readonly calls: number },
): Promise<readonly number[]> {
  const script = `for call in $(seq ${calls}); do ${TIMED_CALL}; done`;
  const output = await node.run(['bash', '-c', script, executable]);
  return output
    .trim()
    .split('\n')
    .map((microseconds) => Number(microseconds) / 1000);
}
