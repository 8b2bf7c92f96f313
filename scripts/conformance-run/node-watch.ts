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

export interface MemoryWatch {
  readonly peakBytes: number;
  stop(): Promise<void>;
}

const SAMPLE_INTERVAL_MS = 3000;

/** Looks at the node's memory until it is stopped. */
export function watchMemory(node: TestNode): MemoryWatch {
  const abort = new AbortController();
  let peakBytes = 0;
  const watch = async () => {
    while (!abort.signal.aborted) {
      const { usageBytes, pageCacheBytes } = await node.memory();
      peakBytes = Math.max(peakBytes, usageBytes - pageCacheBytes);
      await sleep(SAMPLE_INTERVAL_MS, abort.signal).catch(() => {});
    }
  };
  // A node that goes away while it is looked at has no more peaks.
  const ended = watch().catch(() => {});
  return {
    get peakBytes() {
      return peakBytes;
    },
    stop: async () => {
      abort.abort();
      await ended;
    },
  };
}

export async function readOomKills(node: TestNode): Promise<OomKills | undefined> {
  const { exitCode, stdout } = await tryOnHost(['dmesg']);
  return exitCode === 0 ? parseOomKills(stdout, node.name) : undefined;
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
