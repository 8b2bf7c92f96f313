import { rename, rm, writeFile } from 'node:fs/promises';
import { V8_FLAGS } from '../../../scripts/build/executable.ts';
import { waitFor } from '../../../src/base/time.ts';
import type { TunnelNodeStatus } from '../../../src/tunnel/types.ts';
import { startTarget } from '../../integration/tunnel/harness.ts';
import { createTestCluster, type TestCluster } from '../../integration/tunnel/node-certificates.ts';
import {
  type AgentProcess,
  type ControllerProcess,
  prepareController,
  spawnAgent,
  spawnController,
} from '../../integration/tunnel/processes.ts';
import { type DelayProxy, startDelayProxy } from '../../support/delay-proxy.ts';
import { freePorts } from '../../support/free-ports.ts';
import { serveSoakTarget } from './target.ts';

/** A hundredth of the carrier's own patience or so, to have many ends of lines in little time. */
const carrier = { pingIntervalMs: 1_000, deadAfterMs: 4_000 };
/**
 * Makes the C library give back what is freed. As it comes, its heap keeps the size that it once had: buffers of sockets
 * wait in it for V8's garbage collection, 10 to 25 MiB at a time, and one small block of 8 bytes that was put above them
 * keeps all of that for good. A leak is then what is left here; what comes and goes is not.
 * @see https://www.gnu.org/software/libc/manual/html_node/Malloc-Tunable-Parameters.html
 */
const givingBack = {
  MALLOC_MMAP_THRESHOLD_: '4096',
  MALLOC_MMAP_MAX_: '1000000',
  MALLOC_TOP_PAD_: '0',
  MALLOC_TRIM_THRESHOLD_: '0',
};
/** How soon an agent sees that its certificate was replaced. */
const credentialsPollMs = 500;

/** One controller, three agents, and what they may reach; all processes but the targets. */
export interface SoakCluster {
  readonly controller: ControllerProcess;
  /** `edge-1` behind `line`, `edge-2`, `edge-3`. */
  readonly agents: Map<string, AgentProcess>;
  readonly line: DelayProxy;
  readonly targetPort: number;
  readonly closedPort: number;
  /** Connections to the target that are open. */
  openTargets(): number;
  /** SIGKILL, and a new process. */
  restartAgent(nodeName: string): Promise<void>;
  rotateCertificate(nodeName: string): Promise<void>;
  /** Resolves when that node has a session. On a busy machine the controller hears late of the end of an old one: `untilGone` comes first. */
  untilConnected(nodeName: string): Promise<void>;
  /** Resolves when that node has none, once something has ended all of them. */
  untilGone(nodeName: string): Promise<void>;
  close(): Promise<void>;
}

export const nodeNames = ['edge-1', 'edge-2', 'edge-3'] as const;

export async function startSoakCluster(): Promise<SoakCluster> {
  const cluster = createTestCluster();
  const directory = await prepareController(cluster);
  const controller = await spawnController(
    { directory, port: 0, carrier },
    { nodeOptions: V8_FLAGS, env: givingBack },
  );
  const line = await startDelayProxy({ target: controller.port });
  const target = await startTarget(serveSoakTarget);
  const [closedPort = 0] = await freePorts(1);
  const agents = new Map<string, AgentProcess>();
  const startAgent = async (nodeName: string) => {
    const address = nodeName === 'edge-1' ? line.address : controller.address;
    agents.set(nodeName, await startOne(cluster, nodeName, address));
  };
  for (const nodeName of nodeNames) await startAgent(nodeName);
  const untilConnected = (nodeName: string) => connected(controller, nodeName);
  const untilGone = (nodeName: string) =>
    watchNode(controller, nodeName, `the end of the session of ${nodeName}`, isGone);
  for (const nodeName of nodeNames) await untilConnected(nodeName);
  return {
    ...{ controller, agents, line, closedPort, untilConnected, untilGone },
    targetPort: target.port,
    openTargets: () => target.sockets.size,
    restartAgent: async (nodeName) => {
      await agents.get(nodeName)?.close();
      await untilGone(nodeName);
      await startAgent(nodeName);
    },
    rotateCertificate: async (nodeName) => {
      const { certFile } = agents.get(nodeName) ?? missing(nodeName);
      await writeFile(`${certFile}.new`, cluster.issueNode(nodeName));
      await rename(`${certFile}.new`, certFile);
    },
    close: async () => {
      for (const agent of agents.values()) await agent.close();
      await controller.kill();
      await line.close();
      await target.close();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

function startOne(cluster: TestCluster, nodeName: string, address: string): Promise<AgentProcess> {
  const options = { cluster, nodeName, addresses: [address], carrier, credentialsPollMs };
  return spawnAgent(options, { nodeOptions: V8_FLAGS, env: givingBack });
}

function connected(controller: ControllerProcess, nodeName: string): Promise<void> {
  return watchNode(controller, nodeName, `the session of ${nodeName}`, isConnected);
}

function isConnected(node: TunnelNodeStatus | undefined): boolean {
  return node?.rttMs !== undefined && node.sessions > 0;
}

function isGone(node: TunnelNodeStatus | undefined): boolean {
  return node === undefined || node.sessions === 0;
}

async function watchNode(
  controller: ControllerProcess,
  nodeName: string,
  subject: string,
  isSo: (node: TunnelNodeStatus | undefined) => boolean,
): Promise<void> {
  let state = '';
  await waitFor(
    async () => {
      const { tunnel } = await controller.ask('status');
      const node = tunnel.nodes.find((found) => found.nodeName === nodeName);
      state = JSON.stringify(node);
      return isSo(node);
    },
    { subject, timeoutMs: 60_000, describe: () => state },
  );
}

function missing(nodeName: string): never {
  throw new Error(`there is no agent ${nodeName}`);
}
