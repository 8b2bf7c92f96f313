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
  /** Resolves when that node has exactly one session, or as many. */
  untilConnected(nodeName: string): Promise<void>;
  close(): Promise<void>;
}

export const nodeNames = ['edge-1', 'edge-2', 'edge-3'] as const;

export async function startSoakCluster(): Promise<SoakCluster> {
  const cluster = createTestCluster();
  const directory = await prepareController(cluster);
  const controller = await spawnController(
    { directory, port: 0, carrier },
    { nodeOptions: V8_FLAGS },
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
  for (const nodeName of nodeNames) await untilConnected(nodeName);
  return {
    ...{ controller, agents, line, closedPort, untilConnected },
    targetPort: target.port,
    openTargets: () => target.sockets.size,
    restartAgent: async (nodeName) => {
      await agents.get(nodeName)?.close();
      // On a busy machine the controller hears of it later, and the old session would be taken for the new one.
      await watchNode(controller, nodeName, `the end of the session of ${nodeName}`, isGone);
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
  return spawnAgent(options, { nodeOptions: V8_FLAGS });
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
