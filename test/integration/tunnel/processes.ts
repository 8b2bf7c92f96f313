import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { AgentProcessOptions } from './agent-process.ts';
import type {
  ControllerCounts,
  ControllerProcessOptions,
  ControllerQuestion,
  ControllerStatus,
} from './controller-process.ts';
import type { TestCluster } from './node-certificates.ts';

/** What a process may be given besides its program's own options. */
export interface SpawnLimits {
  /** Open files at most; as many as this process may have unless given. */
  readonly descriptors?: number;
  /** Of Node.js. */
  readonly nodeOptions?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

/** Ends with `kill`, or when the process that started it does. */
export interface PeerProcess {
  readonly child: ChildProcess;
  readonly pid: number;
  /** Resolves when it is gone. */
  kill(): Promise<void>;
}

export interface ControllerProcess extends PeerProcess {
  readonly port: number;
  readonly address: string;
  readonly socketPath: string;
  ask(question: 'status'): Promise<ControllerStatus>;
  ask(question: 'count' | 'collect'): Promise<ControllerCounts>;
}

/** A directory with what a gateway reads; to be removed by the caller. */
export async function prepareController(cluster: TestCluster): Promise<string> {
  const directory = await mkdtemp(path.join(tmpdir(), 'mini-k8s-controller-'));
  await writeFile(path.join(directory, 'ca.crt'), cluster.ca);
  await writeFile(path.join(directory, 'gateway.crt'), cluster.gateway.cert);
  await writeFile(path.join(directory, 'gateway.key'), cluster.gateway.key);
  return directory;
}

/** The tunnel's server, once it listens. The same directory and port again: a restart. */
export async function spawnController(
  options: ControllerProcessOptions,
  limits: SpawnLimits = {},
): Promise<ControllerProcess> {
  const peer = spawnPeer('controller-process.ts', options, limits);
  const exited = once(peer.child, 'exit').then(([code, signal]) => {
    throw new Error(`the controller process is gone: exit code ${code}, signal ${signal}`);
  });
  exited.catch(() => {});
  const hear = async (): Promise<ControllerCounts & ControllerStatus> => {
    const [message] = await Promise.race([once(peer.child, 'message'), exited]);
    return message as ControllerCounts & ControllerStatus;
  };
  let last: Promise<unknown> = hear();
  const { port } = (await last) as ControllerCounts;
  return {
    ...{ ...peer, port, address: `127.0.0.1:${port}` },
    socketPath: path.join(options.directory, 'run', 'tunnel.sock'),
    // One question at a time: answers carry no mark of theirs.
    ask: (question: ControllerQuestion) => {
      const asked = last.then(() => {
        peer.child.send(question);
        return hear();
      });
      last = asked.catch(() => {});
      return asked;
    },
  };
}

export interface SpawnAgentOptions {
  readonly cluster: TestCluster;
  readonly nodeName: string;
  readonly addresses: readonly string[];
  readonly carrier?: AgentProcessOptions['carrier'];
  readonly credentialsPollMs?: number;
}

export interface AgentProcess extends PeerProcess {
  /** Its certificate and key; replacing it is a rotation. */
  readonly certFile: string;
  /** Takes its files away as well. */
  close(): Promise<void>;
}

/** The agent of `edge-<n>`: 10.244.<n>.0/24 are its pods, and all of its targets are ports of this machine. */
export async function spawnAgent(
  options: SpawnAgentOptions,
  limits: SpawnLimits = {},
): Promise<AgentProcess> {
  const { cluster, nodeName, addresses, carrier, credentialsPollMs } = options;
  const directory = await mkdtemp(path.join(tmpdir(), 'mini-k8s-agent-'));
  const certFile = path.join(directory, 'node.pem');
  const caFile = path.join(directory, 'ca.crt');
  await writeFile(certFile, cluster.issueNode(nodeName));
  await writeFile(caFile, cluster.ca);
  const asked: AgentProcessOptions = {
    ...{ nodeName, addresses, certFile, caFile },
    podCIDR: `10.244.${/\d+$/.exec(nodeName)?.[0] ?? '0'}.0/24`,
    ...(carrier === undefined ? {} : { carrier }),
    ...(credentialsPollMs === undefined ? {} : { credentialsPollMs }),
  };
  const peer = spawnPeer('agent-process.ts', asked, limits);
  const close = async () => {
    await peer.kill();
    await rm(directory, { recursive: true, force: true });
  };
  return { ...peer, certFile, close };
}

function spawnPeer(program: string, options: unknown, limits: SpawnLimits): PeerProcess {
  const { descriptors, nodeOptions = [], env = {} } = limits;
  const limit = descriptors === undefined ? '' : `ulimit -n ${descriptors}; `;
  const args = [
    ...['-c', `${limit}exec "$0" "$@"`, process.execPath],
    ...[...nodeOptions, path.join(import.meta.dirname, program), JSON.stringify(options)],
  ];
  const child = spawn('sh', args, {
    stdio: ['pipe', 'inherit', 'inherit', 'ipc'],
    env: { ...process.env, ...env },
  });
  return {
    child,
    pid: child.pid ?? 0,
    kill: async () => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const exited = once(child, 'exit');
      child.kill('SIGKILL');
      await exited;
    },
  };
}
