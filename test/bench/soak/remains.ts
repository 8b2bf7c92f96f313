import { once } from 'node:events';
import { sleep, waitFor } from '../../../src/base/time.ts';
import type { PeerProcess } from '../../integration/tunnel/processes.ts';
import { anonymousBytes, openDescriptors } from '../proc.ts';
import { nodeNames, type SoakCluster } from './cluster.ts';
import type { Sample } from './slope.ts';

/** A process that lives as long as the soak. */
export interface Watched {
  readonly name: string;
  readonly peer: PeerProcess;
  /** Descriptors before the churn. */
  readonly baseline: number;
  readonly samples: Sample[];
}

/** Ends of lines, of half-closed streams and of old sessions take their time: their own limits, and some. */
const settleTimeoutMs = 60_000;

/** The controller and the agents that are never killed, as they are before the churn. */
export async function watchProcesses(cluster: SoakCluster): Promise<readonly Watched[]> {
  await settle(cluster, []);
  const lasting = ['edge-1', 'edge-3'].flatMap((nodeName) => {
    const agent = cluster.agents.get(nodeName);
    return agent === undefined ? [] : [{ name: `agent of ${nodeName}`, peer: agent }];
  });
  return Promise.all(
    [{ name: 'controller', peer: cluster.controller }, ...lasting].map(
      async (process): Promise<Watched> => ({
        ...process,
        baseline: await openDescriptors(process.peer.pid),
        samples: [],
      }),
    ),
  );
}

/**
 * Waits until nothing is open but one session for each node, and every process has the descriptors that it began with.
 * @throws Error that says what is still there.
 */
export async function settle(cluster: SoakCluster, watched: readonly Watched[]): Promise<void> {
  let remains: readonly string[] = [];
  await waitFor(
    async () => {
      remains = await listRemains(cluster, watched);
      return remains.length === 0;
    },
    {
      subject: 'nothing to be left',
      timeoutMs: settleTimeoutMs,
      describe: () => remains.join('; '),
    },
  );
}

/** Anonymous memory and the heap after a collection. */
export async function sampleMemory(watched: readonly Watched[]): Promise<void> {
  for (const { peer, samples } of watched) {
    let heapBytes = 0;
    // Twice: what the first collection frees may hold what the second does.
    for (let i = 0; i < 2; i += 1) {
      const answered = once(peer.child, 'message');
      peer.child.send('collect');
      const [answer] = (await answered) as [{ readonly heapBytes: number }];
      heapBytes = answer.heapBytes;
      await sleep(100);
    }
    const bytes = await anonymousBytes(peer.pid);
    samples.push({ atMs: performance.now(), bytes, heapBytes });
  }
}

async function listRemains(
  cluster: SoakCluster,
  watched: readonly Watched[],
): Promise<readonly string[]> {
  const { tunnel, gateway } = await cluster.controller.ask('status');
  const remains: string[] = [];
  const expectCount = (what: string, found: number, expected: number) => {
    if (found !== expected) remains.push(`${what}: ${found} instead of ${expected}`);
  };
  expectCount('streams of the socket', tunnel.activeStreams, 0);
  expectCount('connections to targets', cluster.openTargets(), 0);
  expectCount('tunnel connections', gateway.tunnelConnections, nodeNames.length);
  expectCount('handshakes', gateway.handshaking + gateway.waiting, 0);
  expectCount('connections through the line', cluster.line.connections, 1);
  for (const { nodeName, sessions, streams } of tunnel.nodes) {
    expectCount(`sessions of ${nodeName}`, sessions, 1);
    expectCount(`streams of ${nodeName}`, streams, 0);
  }
  for (const { name, peer, baseline } of watched) {
    expectCount(`descriptors of ${name}`, await openDescriptors(peer.pid), baseline);
  }
  return remains;
}
