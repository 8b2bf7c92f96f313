import { execFileSync } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, request, type Server } from 'node:https';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { silentLogger } from '../../../src/base/logger.ts';
import { systemClock, waitFor } from '../../../src/base/time.ts';
import type { KubeClient, KubeObject } from '../../../src/kube-client/types.ts';
import { type ClusterRoutes, createClusterRoutes } from '../../../src/tunnel/route-cluster.ts';
import { createTunnelServer, type TunnelServer } from '../../../src/tunnel/tunnel-server.ts';
import { startControlPlane, type TestControlPlane } from '../../support/control-plane.ts';
import { quickest } from '../../support/quickest.ts';

/** kube-apiserver's own egress dialer against the tunnel: nodes, pods and an aggregated API behind it. */
const nodes = { apiVersion: 'v1', kind: 'Node', plural: 'nodes', namespaced: false } as const;
const pods = { apiVersion: 'v1', kind: 'Pod', plural: 'pods', namespaced: true } as const;

let directory: string;
let controlPlane: TestControlPlane;
let client: KubeClient;
let tunnel: TunnelServer;
let stopTunnel: () => Promise<void>;
/** Answers as kubelet, as a pod and as an aggregated API: says who was dialled and what was asked. */
let target: Server;
let kubeletPort: number;

beforeAll(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'mini-k8s-egress-'));
  await startTarget();
  const socketPath = path.join(directory, 'run', 'tunnel.sock');
  await startTunnel(socketPath);
  const egressFile = path.join(directory, 'egress.json');
  await writeFile(egressFile, JSON.stringify(egressSelector(socketPath)));
  controlPlane = await startControlPlane({
    apiServerFlags: [
      `--egress-selector-config-file=${egressFile}`,
      '--kubelet-preferred-address-types=Hostname,InternalIP',
      '--enable-aggregator-routing=true',
    ],
  });
  client = controlPlane.connect();
  await createNode('edge-1', 'edge-1');
  await createNode('edge-2', '10.9.0.4');
  await createNode('edge-7', 'edge-7');
  const account = { name: 'default', namespace: 'default' };
  await client.create(object('v1', 'ServiceAccount', account));
  await createPod('web', 'edge-1');
  await createPod('far', 'edge-7');
});

afterAll(async () => {
  await controlPlane?.stop();
  await stopTunnel?.();
  target?.closeAllConnections();
  target?.close();
  await rm(directory, { recursive: true, force: true });
});

describe('kube-apiserver through the tunnel', () => {
  // kube-apiserver looks names up in DNS for this subresource alone, so the node's address is an IP here.
  it('proxies to the local kubelet by address', async () => {
    const { status, body } = await get('/api/v1/nodes/edge-2/proxy/healthz');
    expect({ status, body }).toEqual({ status: 200, body: '127.0.0.1 GET /healthz' });
  });

  it('reads the log of a pod from the kubelet, by node name', async () => {
    const { status, body } = await get('/api/v1/namespaces/default/pods/web/log?container=web');
    expect({ status, body }).toEqual({
      status: 200,
      body: '127.0.0.1 GET /containerLogs/default/web/web',
    });
  });

  it('proxies to a pod', async () => {
    const { status, body } = await get('/api/v1/namespaces/default/pods/https:web:8443/proxy/x');
    expect({ status, body }).toEqual({ status: 200, body: '10.244.0.5 GET /x' });
  });

  it('serves an aggregated API', async () => {
    await createAggregatedApi();
    const answer = await waitFor(
      async () => {
        const seen = await get('/apis/test.example/v1/hello');
        return seen.status === 200 ? seen : undefined;
      },
      { subject: 'the aggregated API', timeoutMs: 60_000, intervalMs: 200 },
    );
    expect(answer.body).toBe('10.244.0.5 GET /apis/test.example/v1/hello');
  });

  it.each([
    ['/api/v1/namespaces/default/pods/far/log', '503 node edge-7 has no tunnel'],
    ['/api/v1/nodes/edge-2:22/proxy/', '403 10.9.0.4:22 is not a pod, node or endpoint'],
    ['/api/v1/namespaces/default/pods/web:1/proxy/', '502 pod 10.244.0.5:1 refuses connections'],
  ])('shows the reason for %s', async (url, reason) => {
    const { status, body } = await get(url);
    expect(status).toBeGreaterThanOrEqual(500);
    expect(body).toContain(reason);
  });

  it('answers a dead kubelet at once, and leaves no stream', async () => {
    await new Promise<void>((resolve) => {
      target.close(() => resolve());
      target.closeAllConnections();
    });
    const askMs = async () => {
      const started = performance.now();
      const { body } = await get('/api/v1/namespaces/default/pods/web/log');
      expect(body).toContain(
        `502 kubelet of node edge-1 refuses connections on 127.0.0.1:${kubeletPort}`,
      );
      return performance.now() - started;
    };
    expect(await quickest(askMs, 2_000)).toBeLessThan(2_000);
    await waitFor(() => tunnel.status().activeStreams === 0, {
      subject: 'no stream',
      timeoutMs: 20_000,
      describe: () => JSON.stringify(tunnel.status()),
    });
  });
});

async function startTarget(): Promise<void> {
  const file = (name: string) => path.join(directory, name);
  execFileSync(
    'openssl',
    `req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 1 -subj /CN=target -keyout ${file('key')} -out ${file('crt')}`.split(
      ' ',
    ),
    { stdio: 'ignore' },
  );
  const credentials = { key: await readFile(file('key')), cert: await readFile(file('crt')) };
  target = createServer(credentials, (incoming, response) => {
    const [pathname] = (incoming.url ?? '').split('?');
    const dialled = dialledAddresses.get(incoming.socket.remotePort ?? 0) ?? '?';
    if (pathname === '/apis/test.example/v1')
      response.setHeader('content-type', 'application/json');
    response.end(`${dialled} ${incoming.method} ${pathname}`);
  });
  await new Promise<void>((resolve) => target.listen(0, '127.0.0.1', resolve));
  const address = target.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  kubeletPort = address.port;
}

/** Source port of each dial to the address it was meant for: every address is played by one server on loopback. */
const dialledAddresses = new Map<number, string>();

async function startTunnel(socketPath: string): Promise<void> {
  tunnel = createTunnelServer({
    socketPath,
    logger: silentLogger,
    clock: systemClock,
    routes: knownNodes(),
    dial: (address, port) => {
      const served = port === 8443 || port === kubeletPort ? kubeletPort : port;
      const socket = connect({ host: '127.0.0.1', port: served, allowHalfOpen: true });
      socket.once('connect', () => dialledAddresses.set(socket.localPort ?? 0, address));
      return socket;
    },
  });
  const running = await tunnel.start(AbortSignal.timeout(60_000));
  stopTunnel = () => running.stop();
}

/** What the watch of Nodes would have said; `edge-2` is not among them: its Hostname is another's address. */
function knownNodes(): ClusterRoutes {
  const routes = createClusterRoutes({
    localNode: { name: 'edge-1', kubeletPort },
    podCIDR: '10.244.0.0/16',
    serviceCIDR: '10.96.0.0/12',
  });
  const node = { addresses: [], podCIDRs: [], kubeletPort };
  routes.replaceNodes([
    {
      name: 'edge-1',
      hostname: 'edge-1',
      addresses: ['10.9.0.4'],
      podCIDRs: ['10.244.0.0/24'],
      kubeletPort,
    },
    { ...node, name: 'edge-7', hostname: 'edge-7' },
  ]);
  return routes;
}

function egressSelector(udsName: string): unknown {
  return {
    apiVersion: 'apiserver.k8s.io/v1beta1',
    kind: 'EgressSelectorConfiguration',
    egressSelections: [
      {
        name: 'cluster',
        connection: { proxyProtocol: 'HTTPConnect', transport: { uds: { udsName } } },
      },
    ],
  };
}

async function createNode(name: string, hostname: string): Promise<void> {
  await client.create(object('v1', 'Node', { name }));
  const status = {
    addresses: [{ type: 'Hostname', address: hostname }],
    daemonEndpoints: { kubeletEndpoint: { Port: kubeletPort } },
  };
  const options = { type: 'merge', subresource: 'status' } as const;
  await client.patch({ resource: nodes, name }, { status }, options);
}

async function createPod(name: string, nodeName: string): Promise<void> {
  const spec = {
    nodeName,
    automountServiceAccountToken: false,
    containers: [{ name: 'web', image: 'none' }],
  };
  await client.create({ ...object('v1', 'Pod', { name, namespace: 'default' }), spec });
  const podIP = '10.244.0.5';
  const status = { phase: 'Running', podIP, podIPs: [{ ip: podIP }] };
  const ref = { resource: pods, namespace: 'default', name };
  await client.patch(ref, { status }, { type: 'merge', subresource: 'status' });
}

async function createAggregatedApi(): Promise<void> {
  const metadata = { name: 'agg', namespace: 'default' };
  const ports = [{ name: 'https', port: 443, targetPort: 8443 }];
  await client.create({ ...object('v1', 'Service', metadata), spec: { ports } });
  await client.create({
    ...object('discovery.k8s.io/v1', 'EndpointSlice', {
      ...metadata,
      labels: { 'kubernetes.io/service-name': 'agg' },
    }),
    addressType: 'IPv4',
    ports: [{ name: 'https', port: 8443, protocol: 'TCP' }],
    endpoints: [{ addresses: ['10.244.0.5'], conditions: { ready: true } }],
  });
  await client.create({
    ...object('apiregistration.k8s.io/v1', 'APIService', { name: 'v1.test.example' }),
    spec: {
      group: 'test.example',
      version: 'v1',
      groupPriorityMinimum: 100,
      versionPriority: 100,
      insecureSkipTLSVerify: true,
      service: { name: 'agg', namespace: 'default', port: 443 },
    },
  });
}

function object(apiVersion: string, kind: string, metadata: KubeObject['metadata']): KubeObject {
  return { apiVersion, kind, metadata };
}

async function get(url: string): Promise<{ status: number; body: string }> {
  const ca = await readFile(controlPlane.caFile);
  return new Promise((resolve, reject) => {
    const headers = { authorization: `Bearer ${controlPlane.adminToken}` };
    const call = request(`${controlPlane.server}${url}`, { ca, headers }, (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        body += chunk;
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body }));
    });
    call.on('error', reject);
    call.end();
  });
}
