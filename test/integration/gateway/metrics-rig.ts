import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { createServer } from 'node:https';
import path from 'node:path';
import { gatewayServerName } from '../../../src/base/gateway-names.ts';
import { createLogger } from '../../../src/base/logger.ts';
import { systemClock, waitFor } from '../../../src/base/time.ts';
import { createGateway } from '../../../src/gateway/gateway.ts';
import { createMetricsProxy } from '../../../src/gateway/metrics-proxy.ts';
import { fillStackSecrets, passwordOf } from '../../../src/node/stack-secrets.ts';
import { createTunnelServer } from '../../../src/tunnel/tunnel-server.ts';
import type { RouteDecision } from '../../../src/tunnel/types.ts';
import { componentBinary } from '../../support/components.ts';
import type { TestControlPlane } from '../../support/control-plane.ts';
import { listenOnLoopback } from '../../support/loopback-server.ts';
import { planFor } from '../../support/plan-inputs.ts';
import type { TestAuthority } from '../../support/tls-authority.ts';

/** As its file has it: with characters that mean something in a URL. */
export const secret = Buffer.alloc(32, 0xfb).toString('base64');
export const proxyUser = 'metrics-server';

export interface ProxyRig {
  readonly port: number;
  /** What was asked for and how it was decided. */
  readonly routed: readonly string[];
  log(): string;
  stop(): Promise<void>;
}

export interface ProxyRigOptions {
  readonly directory: string;
  readonly authority: TestAuthority;
  readonly kubeletPort: number;
  readonly route: (host: string, port: number) => RouteDecision;
}

/** A gateway as a controller has it, with nothing behind it but the proxy for metrics and the tunnel's server. */
export async function startProxyRig(options: ProxyRigOptions): Promise<ProxyRig> {
  const { directory, authority, kubeletPort } = options;
  const file = (name: string) => path.join(directory, name);
  await mkdir(directory, { recursive: true });
  const { cert, key } = authority.issueServer({ dnsNames: [gatewayServerName] });
  await writeFile(file('gateway.crt'), cert + authority.ca);
  await writeFile(file('gateway.key'), key);
  await writeFile(file('gateway-ca.crt'), authority.ca);
  let log = '';
  const logger = createLogger({
    level: 'info',
    format: 'text',
    write: (line) => {
      log += line;
    },
  });
  const routed: string[] = [];
  const tunnel = createTunnelServer({
    socketPath: file('tunnel.sock'),
    routes: {
      route: (host, port) => {
        const decision = options.route(host, port);
        routed.push(`${host}:${port} ${decision.type}`);
        return decision;
      },
    },
    logger,
    clock: systemClock,
  });
  const proxy = createMetricsProxy({
    user: proxyUser,
    password: passwordOf(secret),
    kubeletPort,
    serve: (client, target) => tunnel.serve(client, target),
    logger,
    clock: systemClock,
  });
  const gateway = createGateway({
    address: '127.0.0.1',
    port: 0,
    tlsFiles: {
      certFile: file('gateway.crt'),
      keyFile: file('gateway.key'),
      caFile: file('gateway-ca.crt'),
    },
    routes: [],
    acceptTunnel: (socket) => socket.destroy(),
    handleConnect: proxy.handleConnect,
    logger,
    clock: systemClock,
  });
  const running = await gateway.start(AbortSignal.timeout(60_000));
  return { port: gateway.status().port, routed, log: () => log, stop: () => running.stop() };
}

export interface FakeKubelet {
  readonly port: number;
  /** `GET /metrics/resource Bearer …` of each request. */
  readonly requests: readonly string[];
  close(): Promise<void>;
}

/** Answers as a kubelet does at /metrics/resource; the node uses a quarter of a CPU and 100 MiB. */
export async function startFakeKubelet(
  authority: TestAuthority,
  nodeName: string,
): Promise<FakeKubelet> {
  const requests: string[] = [];
  const startedAt = Date.now();
  const server = createServer(
    authority.issueServer({ dnsNames: [nodeName] }),
    (request, response) => {
      requests.push(`${request.method} ${request.url} ${request.headers.authorization}`);
      const now = Date.now();
      const cpuSeconds = 100 + (now - startedAt) / 4000;
      response.end(
        `node_cpu_usage_seconds_total ${cpuSeconds} ${now}\nnode_memory_working_set_bytes 1.048576e+08 ${now}\n`,
      );
    },
  );
  const { port, close } = await listenOnLoopback(server);
  return { port, requests, close };
}

export interface MetricsServer {
  readonly port: number;
  output(): string;
  stop(): Promise<void>;
}

export interface MetricsServerOptions {
  readonly controlPlane: TestControlPlane;
  readonly gatewayPort: number;
  readonly port: number;
  /** PEM: what the cluster's CA is to its pods. */
  readonly ca: string;
}

/**
 * The real metrics-server with the flags and the environment of its packaged Deployment. Its pod's /etc/hosts is a
 * mount of its own.
 */
export async function startMetricsServer(options: MetricsServerOptions): Promise<MetricsServer> {
  const { controlPlane, port } = options;
  const directory = path.join(controlPlane.directory, `metrics-server-${port}`);
  const file = (name: string) => path.join(directory, name);
  await mkdir(directory);
  const pod = await plannedPod(options.gatewayPort);
  const hosts = pod.hostAliases.map((alias) => `127.0.0.1 ${alias.hostnames.join(' ')}\n`);
  await writeFile(file('hosts'), `127.0.0.1 localhost\n${hosts.join('')}`);
  await writeFile(file('ca.crt'), options.ca);
  await writeFile(file('kubeconfig'), tokenKubeconfig(controlPlane));
  const args = [
    ...pod.args.filter(
      (arg) => !/^--(cert-dir|secure-port|kubelet-certificate-authority)=/.test(arg),
    ),
    `--kubelet-certificate-authority=${file('ca.crt')}`,
    `--cert-dir=${directory}`,
    `--secure-port=${port}`,
    ...['', 'authentication-', 'authorization-'].map(
      (kind) => `--${kind}kubeconfig=${file('kubeconfig')}`,
    ),
  ];
  const child = spawn(
    'unshare',
    [
      ...['--mount', '--propagation', 'private', 'setpriv', '--pdeathsig', 'KILL', 'sh', '-c'],
      'mount --bind "$1" /etc/hosts && shift && exec "$@"',
      ...['in-pod', file('hosts'), componentBinary('metrics-server'), ...args],
    ],
    { env: { PATH: process.env['PATH'], ...pod.env }, stdio: ['ignore', 'pipe', 'pipe'] },
  );
  let output = '';
  const collect = (chunk: Buffer) => {
    output += chunk.toString();
  };
  child.stdout.on('data', collect);
  child.stderr.on('data', collect);
  return { port, output: () => output, stop: () => end(child) };
}

interface PlannedPod {
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly hostAliases: readonly { readonly hostnames: readonly string[] }[];
}

async function plannedPod(gatewayPort: number): Promise<PlannedPod> {
  const plan = await planFor({ spec: `  api: {gatewayPort: ${gatewayPort}}` });
  const objects = fillStackSecrets(plan.stacks, () => secret).flatMap((stack) => stack.objects);
  const url = objects.find(({ metadata }) => metadata.name === 'metrics-server-proxy')?.['data'] as
    | { readonly url: string }
    | undefined;
  const deployment = objects.find(
    ({ kind, metadata }) => kind === 'Deployment' && metadata.name === 'metrics-server',
  ) as unknown as { spec: { template: { spec: PodSpec } } } | undefined;
  const pod = deployment?.spec.template.spec;
  const [container] = pod?.containers ?? [];
  if (pod === undefined || container === undefined || url === undefined) {
    throw new Error('the plan has no metrics-server');
  }
  const entries = container.env.map(({ name, value }) => [
    name,
    value ?? Buffer.from(url.url, 'base64').toString(),
  ]);
  return {
    args: container.args,
    env: Object.fromEntries(entries),
    hostAliases: pod.hostAliases,
  };
}

interface PodSpec {
  readonly containers: readonly {
    readonly args: readonly string[];
    readonly env: readonly { readonly name: string; readonly value?: string }[];
  }[];
  readonly hostAliases: PlannedPod['hostAliases'];
}

/** As in a pod: a token, no certificate. */
function tokenKubeconfig({ server, caFile, adminToken }: TestControlPlane): string {
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'test',
    clusters: [{ name: 'test', cluster: { server, 'certificate-authority': caFile } }],
    users: [{ name: 'admin', user: { token: adminToken } }],
    contexts: [{ name: 'test', context: { cluster: 'test', user: 'admin' } }],
  });
}

async function end(child: ChildProcess): Promise<void> {
  child.kill('SIGKILL');
  await waitFor(() => child.exitCode !== null || child.signalCode !== null, {
    subject: 'metrics-server to end',
    timeoutMs: 20_000,
  });
}
