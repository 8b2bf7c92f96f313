import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createServer, type TLSSocket } from 'node:tls';
import { tunnelProtocol } from '../../../src/base/gateway-names.ts';
import { silentLogger } from '../../../src/base/logger.ts';
import { systemClock } from '../../../src/base/time.ts';
import { createTunnelAgent, type TunnelAgentOptions } from '../../../src/tunnel/agent.ts';
import { createTunnelConnector } from '../../../src/tunnel/connect-tunnel.ts';
import { createTunnelMetrics } from '../../../src/tunnel/metrics.ts';
import { createTunnelSessions, type TunnelSessionsOptions } from '../../../src/tunnel/sessions.ts';
import { createTunnelServer, type TunnelServerOptions } from '../../../src/tunnel/tunnel-server.ts';
import { dialLoopback } from './dial-loopback.ts';
import type { TestCluster } from './node-certificates.ts';
import { routeToAgents } from './route-to-agents.ts';

export interface ControllerOptions {
  readonly sessions?: Partial<TunnelSessionsOptions>;
  readonly server?: Partial<TunnelServerOptions>;
  /** Certificate and key, instead of the cluster's. */
  readonly gateway?: TestCluster['gateway'];
  /** Any free one unless given. */
  readonly port?: number;
}

export type Controller = Awaited<ReturnType<typeof startController>>;

/** A gateway, as far as the tunnel needs one, with sessions and the socket for kube-apiserver. */
export async function startController(
  cluster: Pick<TestCluster, 'ca' | 'gateway'>,
  options: ControllerOptions,
) {
  const directory = await mkdtemp(path.join(tmpdir(), 'mini-k8s-tunnel-'));
  const metrics = createTunnelMetrics(() => performance.now());
  const base = { logger: silentLogger, clock: systemClock, metrics };
  const sessions = createTunnelSessions({ ...base, ...options.sessions });
  const socketPath = path.join(directory, 'run', 'tunnel.sock');
  const tunnel = createTunnelServer({
    ...{ ...base, socketPath, sessions },
    routes: { route: routeToAgents },
    ...options.server,
  });
  const running = await tunnel.start(AbortSignal.timeout(60_000));
  const gateway = createServer({
    ...(options.gateway ?? cluster.gateway),
    ca: cluster.ca,
    requestCert: true,
    rejectUnauthorized: true,
    minVersion: 'TLSv1.3',
    ALPNProtocols: [tunnelProtocol],
    noDelay: true,
  });
  gateway.on('tlsClientError', () => {});
  gateway.on('secureConnection', (socket: TLSSocket) => {
    const certificate = socket.getPeerX509Certificate();
    sessions.accept(socket, {
      nodeName: /CN=system:node:(\S+)/.exec(certificate?.subject ?? '')?.[1] ?? '',
      notAfterMs: Date.parse(certificate?.validTo ?? ''),
      fingerprint: certificate?.fingerprint256 ?? '',
      remoteAddress: socket.remoteAddress ?? '',
    });
  });
  await new Promise<void>((resolve) => {
    gateway.listen({ port: options.port ?? 0, host: '127.0.0.1', backlog: 4096 }, resolve);
  });
  const { port } = gateway.address() as AddressInfo;
  return {
    ...{ socketPath, tunnel, sessions, metrics, port },
    address: `127.0.0.1:${port}`,
    close: async () => {
      const closed = new Promise((resolve) => gateway.close(resolve));
      sessions.close();
      await running.stop();
      await closed;
      await rm(directory, { recursive: true, force: true });
    },
  };
}

export interface AgentOptions extends Partial<TunnelAgentOptions> {
  /** Instead of a certificate that is good for a day. */
  readonly pem?: string;
  readonly kubeletPort?: number;
}

/** An agent whose pods' and host's addresses all lead to 127.0.0.1. */
export async function startAgent(
  cluster: TestCluster,
  options: AgentOptions & { readonly nodeName: string; readonly addresses: readonly string[] },
) {
  const { nodeName, addresses, pem, kubeletPort = 10250, ...overrides } = options;
  const directory = await mkdtemp(path.join(tmpdir(), 'mini-k8s-agent-'));
  const certFile = path.join(directory, 'kubelet-client-current.pem');
  const caFile = path.join(directory, 'ca.crt');
  await writeFile(certFile, pem ?? cluster.issueNode(nodeName));
  await writeFile(caFile, cluster.ca);
  const connector = createTunnelConnector({ certFile, keyFile: certFile, caFile });
  const agent = createTunnelAgent({
    controllers: addresses,
    connect: connector.connect,
    credentialsFingerprint: connector.credentialsFingerprint,
    allowList: () => ({
      ...{ nodeName, kubeletPort },
      podCIDRs: [`10.244.${/\d+$/.exec(nodeName)?.[0] ?? '0'}.0/24`],
      nodeAddresses: ['192.168.1.7'],
      hostPorts: new Set(['192.168.1.7:9100']),
      podAddresses: new Set(),
    }),
    logger: silentLogger,
    clock: systemClock,
    random: Math.random,
    dial: dialLoopback,
    ...overrides,
  });
  const running = await agent.start(AbortSignal.timeout(60_000));
  return {
    ...{ agent, certFile },
    close: async () => {
      await running.stop();
      await rm(directory, { recursive: true, force: true });
    },
  };
}
