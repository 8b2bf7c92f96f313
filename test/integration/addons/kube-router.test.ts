import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { connect, createServer, type Server } from 'node:net';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { waitFor } from '../../../src/base/time.ts';
import type { KubeClient, KubeObject } from '../../../src/kube-client/types.ts';
import { componentBinary } from '../../support/components.ts';
import { startControlPlane, type TestControlPlane } from '../../support/control-plane.ts';
import { createNode } from '../../support/node/create-node.ts';
import { createSite } from '../../support/node/create-site.ts';
import { nodeSkipReason } from '../../support/node/skip-reason.ts';
import type { NodeProcess, Site, TestNode } from '../../support/node/types.ts';
import { planFor } from '../../support/plan-inputs.ts';

const apiPort = 6443;
/** Private numbers of 32 bits, as sites get them. */
const ownSite = '4200000017';
const otherSite = '4294967294';
const small = { cpus: 0.5, memoryBytes: 256 * 1024 ** 2, diskBytes: 256 * 1024 ** 2 };
/** Where the nodes see the executables, which may lie where a node has directories of its own. */
const componentsOfNode = '/opt/components';

describe.skipIf(nodeSkipReason() !== undefined)('the packaged kube-router', () => {
  let controlPlane: TestControlPlane;
  let client: KubeClient;
  let site: Site;
  let api: Server;
  let nodes: readonly TestNode[] = [];
  const routers: NodeProcess[] = [];

  beforeAll(async () => {
    controlPlane = await startControlPlane();
    client = controlPlane.connect();
    site = await createSite('kube-router');
    const source = path.dirname(componentBinary('kube-router'));
    const place = { network: { site }, binds: [{ source, target: componentsOfNode }], ...small };
    api = await offerApi(site.gateway, controlPlane.server);
    nodes = [
      await createNode({ name: 'router-a', ...place }),
      await createNode({ name: 'router-b', ...place }),
    ];
    const [a, b] = addresses();
    await register({ name: 'router-a', address: a, asn: ownSite, podCIDR: '10.244.1.0/24' });
    await register({ name: 'router-b', address: b, asn: ownSite, podCIDR: '10.244.2.0/24' });
    // Elsewhere: one with the address of a node here, one that nobody answers for, and one that is no site's yet.
    await register({ name: 'twin', address: b, asn: otherSite, podCIDR: '10.244.3.0/24' });
    const dead = { address: '198.51.100.7', podCIDR: '10.244.4.0/24' };
    await register({ name: 'dead', asn: otherSite, ...dead });
    await register({ name: 'fresh', address: '198.51.100.8', podCIDR: '10.244.5.0/24' });
  });
  afterAll(async () => {
    for (const router of routers) router.kill('SIGKILL');
    for (const node of nodes) await node.destroy();
    await site?.destroy();
    api?.close();
    await controlPlane?.stop();
  });

  const addresses = () => [nodes[0]?.address ?? '', nodes[1]?.address ?? ''] as const;

  test('is healthy while the other node of its site is away', async () => {
    const [a] = nodes;
    if (a === undefined) throw new Error('no node');
    const router = await start(a);
    const refused = () => router.output().match(/Not peering with the Node \S+/g) ?? [];
    await waitFor(() => refused().length >= 3, {
      subject: 'kube-router to have looked at the other nodes',
      timeoutMs: 40_000,
      describe: () => router.output().slice(-3000),
    });
    await waitFor(() => isHealthy(a), { subject: 'it to be healthy', timeoutMs: 20_000 });
    const [, peer] = addresses();
    const others = [peer, '198.51.100.7', '198.51.100.8'];
    expect(refused().sort()).toEqual(others.map((ip) => `Not peering with the Node ${ip}`).sort());
  });

  test('peers with the nodes of its site and no others, and says little about it', async () => {
    const [a, b] = nodes;
    if (a === undefined || b === undefined) throw new Error('no nodes');
    const router = await start(b);
    const route = async (node: TestNode) => node.run(['ip', 'route', 'show', 'proto', '17']);
    await waitFor(async () => (await route(a)).includes(`10.244.2.0/24 via ${b.address}`), {
      subject: 'the route to the pods of the other node',
      timeoutMs: 60_000,
      describe: () => router.output().slice(-3000),
    });
    await waitFor(async () => (await route(b)).includes(`10.244.1.0/24 via ${a.address}`), {
      subject: 'the way back',
      timeoutMs: 30_000,
    });
    for (const node of [a, b]) {
      expect(await route(node)).not.toMatch(/10\.244\.[345]\./);
      // Attempts to connect are here until they time out, which takes minutes.
      expect(await connectionsTo179(node)).not.toContain('198.51.100.');
    }
    for (const { output } of routers) expect(output().split('\n').length).toBeLessThan(60);
  });

  async function start(node: TestNode): Promise<NodeProcess> {
    const [container] = await plannedContainers();
    const ca = await readFile(controlPlane.caFile);
    await node.writeFile(
      '/run/kubeconfig',
      JSON.stringify({
        apiVersion: 'v1',
        kind: 'Config',
        'current-context': 'test',
        clusters: [
          {
            name: 'test',
            cluster: {
              server: `https://${site.gateway}:${apiPort}`,
              'certificate-authority-data': ca.toString('base64'),
              'tls-server-name': 'localhost',
            },
          },
        ],
        users: [{ name: 'admin', user: { token: controlPlane.adminToken } }],
        contexts: [{ name: 'test', context: { cluster: 'test', user: 'admin' } }],
      }),
    );
    const args = [...(container?.args ?? []), '--kubeconfig=/run/kubeconfig'];
    const router = node.spawn([`${componentsOfNode}/kube-router`, ...args], {
      env: { NODE_NAME: node.name, POD_NAME: node.name },
    });
    routers.push(router);
    return router;
  }

  interface Registration {
    readonly name: string;
    readonly address: string;
    readonly podCIDR: string;
    readonly asn?: string;
  }

  async function register({ name, address, podCIDR, asn }: Registration): Promise<void> {
    const annotations = asn === undefined ? {} : { 'kube-router.io/node.asn': asn };
    const node = await client.create<KubeObject>({
      apiVersion: 'v1',
      kind: 'Node',
      metadata: { name, annotations },
      spec: { podCIDR, podCIDRs: [podCIDR] },
    });
    const status = { addresses: [{ type: 'InternalIP', address }] };
    await client.replace({ ...node, status }, 'status');
  }
});

async function plannedContainers() {
  const objects = (await planFor()).stacks.flatMap((stack) => stack.objects);
  const router = objects.find(
    ({ kind, metadata }) => kind === 'DaemonSet' && metadata.name === 'kube-router',
  ) as unknown as
    | { spec: { template: { spec: { containers: readonly { readonly args: string[] }[] } } } }
    | undefined;
  return router?.spec.template.spec.containers ?? [];
}

async function isHealthy(node: TestNode): Promise<boolean> {
  const ask = `my $c = IO::Socket::INET->new(PeerAddr => "127.0.0.1:20244", Timeout => 2) or exit 1;
    print $c "GET /healthz HTTP/1.0\\r\\n\\r\\n"; print scalar <$c>;`;
  return (await node.exec(['perl', '-MIO::Socket::INET', '-e', ask])).stdout.includes(' 200 ');
}

async function connectionsTo179(node: TestNode): Promise<string> {
  return node.run(['ss', '--tcp', '--numeric', '--all', 'dport = :179']);
}

/** kube-apiserver is on the host's loopback; nodes find it at their gateway. */
async function offerApi(address: string, server: string): Promise<Server> {
  const port = Number(new URL(server).port);
  const offered = createServer((socket) => {
    const target = connect(port, '127.0.0.1');
    socket.on('error', () => target.destroy());
    target.on('error', () => socket.destroy());
    socket.pipe(target).pipe(socket);
  });
  offered.listen(apiPort, address);
  await once(offered, 'listening');
  return offered;
}
