import { sleep } from '../../src/base/time.ts';
import type { NodeStatus } from '../../src/node/status-types.ts';
import { tryOnHost } from '../../test/support/node/host-command.ts';
import type { TestNode } from '../../test/support/node/types.ts';
import { type OomKills, parseOomKills } from './oom-kills.ts';

/** What the run did to a node. */
export interface NodeRecord {
  readonly role: 'controller' | 'worker';
  /** `2 CPUs, 2048 MiB` */
  readonly size: string;
  /** The most memory that the node used, page cache left out, seen every few seconds. */
  readonly peakBytes: number;
  /** Undefined: the kernel's messages cannot be read here. */
  readonly oomKills: OomKills | undefined;
  /** Name of a component for each time that it was started again; undefined when the node gave no status. */
  readonly restarts: readonly string[] | undefined;
  /** The same of containers in kube-system. */
  readonly podRestarts: readonly string[] | undefined;
}

/** Something that is looked at again and again until it is stopped. */
interface Watch {
  stop(): Promise<void>;
}

export interface MemoryWatch extends Watch {
  readonly peakBytes: number;
}

export interface OomWatch extends Watch {
  /** Undefined: the kernel's messages cannot be read here. */
  killsOf(node: TestNode): OomKills | undefined;
}

const MEMORY_INTERVAL_MS = 3000;

/** The kernel keeps its last two thousand lines, and says four for each pod that comes or goes. */
const KERNEL_INTERVAL_MS = 10_000;

export function watchMemory(node: TestNode): MemoryWatch {
  let peakBytes = 0;
  const watch = repeat(MEMORY_INTERVAL_MS, async () => {
    const { usageBytes, pageCacheBytes } = await node.memory();
    peakBytes = Math.max(peakBytes, usageBytes - pageCacheBytes);
  });
  return {
    ...watch,
    get peakBytes() {
      return peakBytes;
    },
  };
}

export async function watchOomKills(): Promise<OomWatch> {
  const lines = new Set<string>();
  const look = async () => {
    const { exitCode, stdout } = await tryOnHost(['dmesg']);
    for (const line of stdout.split('\n')) if (line.includes('oom-kill:')) lines.add(line);
    return exitCode === 0;
  };
  const isReadable = await look();
  const watch = repeat(KERNEL_INTERVAL_MS, look);
  return {
    stop: async () => {
      await watch.stop();
      await look();
    },
    killsOf: (node) => (isReadable ? parseOomKills([...lines].join('\n'), node.name) : undefined),
  };
}

function repeat(intervalMs: number, work: () => Promise<unknown>): Watch {
  const abort = new AbortController();
  const run = async () => {
    while (!abort.signal.aborted) {
      // A node that goes away while it is looked at has no more to tell; one look that fails is not the last one.
      await work().catch(() => {});
      await sleep(intervalMs, abort.signal).catch(() => {});
    }
  };
  const ended = run();
  return {
    stop: async () => {
      abort.abort();
      await ended;
    },
  };
}

/** The name of each component as often as it was started again. */
export function restartsOf({ components }: Pick<NodeStatus, 'components'>): readonly string[] {
  return components.flatMap(({ name, restartCount }) =>
    Array.from({ length: restartCount }, () => name),
  );
}

/** The part of a list of pods that is read here. */
export interface PodList {
  readonly items: readonly {
    readonly spec: { readonly nodeName?: string };
    readonly status: {
      readonly containerStatuses?: readonly {
        readonly name: string;
        readonly restartCount: number;
      }[];
    };
  }[];
}

/** The same for the containers of pods on a node. */
export function podRestartsOf({ items }: PodList, nodeName: string): readonly string[] {
  return items
    .filter(({ spec }) => spec.nodeName === nodeName)
    .flatMap(({ status }) => status.containerStatuses ?? [])
    .flatMap(({ name, restartCount }) => Array.from({ length: restartCount }, () => name));
}
