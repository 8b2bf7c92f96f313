import { once } from 'node:events';
import net from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { waitFor } from '../../src/base/time.ts';
import { type Cluster, type KubeJson, startCluster } from '../support/e2e/cluster.ts';
import { explainFailures } from '../support/e2e/explain-failures.ts';
import { startPods, testPod } from '../support/e2e/objects.ts';
import { createProductNode, findProduct, nodePaths } from '../support/e2e/product.ts';
import { createToken, startWorker, type Worker } from '../support/e2e/worker.ts';
import { createNatSite } from '../support/node/create-nat-site.ts';
import { createSite } from '../support/node/create-site.ts';
import { nodeSkipReason } from '../support/node/skip-reason.ts';
import type { NatSite, Site, TestNode } from '../support/node/types.ts';

const [here, there] = ['yard-a', 'yard-b'] as const;
const names = [here, there];
const namespace = 'yard';

describe.skipIf(nodeSkipReason() !== undefined)(
  'two workers at one site behind a router that lets nothing in',
  { timeout: 240_000 },
  () => {
    let upstream: Site;
    let site: NatSite | undefined;
    let controller: TestNode;
    let nodes: TestNode[] = [];
    let cluster: Cluster;
    const workers: Worker[] = [];

    beforeAll(async () => {
      upstream = await createSite('yard-main');
      controller = await createProductNode({ name: 'yard-control', network: { site: upstream } });
      cluster = await startCluster(controller);
      site = await createNatSite({ name: 'yard', upstream });
      for (const name of names) nodes.push(await createProductNode({ name, network: { site } }));
      // kube-apiserver looks a node's name up before it proxies to it; what it finds is only held against loopback.
      const hosts = await controller.readFile('/etc/hosts');
      await controller.writeFile('/etc/hosts', `${hosts}192.0.2.1 ${names.join(' ')}\n`);
      await cluster.waitReady();
      for (const node of nodes) {
        const worker =
          node.name === there
            ? await joinWithBundle(controller, node, await createToken(cluster))
            : await startWorker(node, { token: await createToken(cluster) });
        await worker.waitReady();
        workers.push(worker);
        const images = `${nodePaths.testImages}/busybox.tar`;
        await node.run([nodePaths.executable, 'ctr', 'images', 'import', images]);
      }
      await startPods(
        cluster,
        namespace,
        names.flatMap((name) => [podOn(name), serviceOf(name)]),
      );
    }, 280_000);
    afterAll(async () => {
      for (const node of nodes) await node.destroy();
      await site?.destroy();
      await controller?.destroy();
      await upstream?.destroy();
      nodes = [];
    });
    explainFailures(() => cluster);

    const inPod = (...command: string[]) =>
      cluster.mini(['kubectl', 'exec', '-n', namespace, here, '--', ...command]);
    /** The pod of the other node, asked from this one's. */
    const ask = async (host: string) => {
      const request = `printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 3 ${host} 8080`;
      const { stdout, stderr } = await inPod('sh', '-c', request);
      return stdout.includes(`this is ${there}`) ? 'served' : stdout + stderr;
    };
    const addressOf = async (pod: string) =>
      (await cluster.getJson(['pod', '-n', namespace, pod])).status.podIP as string;

    test('one has everything from its controller, the other from a bundle of its own', () => {
      const [fed, brought] = workers.map((worker) => worker.process.output());
      expect(fed).toMatch(/took [1-9]\d* blobs from controller/);
      expect(brought).toMatch(new RegExp(`took [1-9]\\d* blobs from ${nodePaths.bundle}`));
      expect(brought).not.toContain('blobs from controller');
    });

    test('the supervisors are small: tunnel, balancer and gateway included', async () => {
      // 35 is what a worker may have, and 20 what scripts/bench finds; a run that downloaded has 6 to 11 more.
      for (const node of nodes) await expectSmallSupervisor(node, 26);
      // 30 is what a controller alone may have, and 24 what scripts/bench finds; here it has two workers.
      await expectSmallSupervisor(controller, 30);
    });

    test.each([...names, 'yard-control'])('the kubelet of %s answers by its name', async (name) => {
      const raw = (path: string) =>
        cluster.kubectl(['get', '--raw', `/api/v1/nodes/${name}/proxy/${path}`]);
      expect(JSON.parse(await raw('stats/summary')).node.nodeName).toBe(name);
      expect(await raw('metrics/resource')).toContain('node_memory_working_set_bytes');
    });

    test('the pods reach each other by address and by Service', async () => {
      const address = await addressOf(there);
      await until(`${here} to reach ${there}`, () => ask(address), /^served$/);
      const name = `${there}.${namespace}.svc.cluster.local`;
      await until(`${here} to reach ${there} by its Service`, () => ask(name), /^served$/);
    });

    test('between the nodes a pod keeps its address, as policies need it', async () => {
      const address = await addressOf(there);
      expect(await ask(address)).toBe('served');
      const log = await cluster.kubectl(['logs', '-n', namespace, there]);
      // `[::ffff:10.244.1.3]:49926: response:200`
      expect(log).toContain(`:${await addressOf(here)}]:`);
      await cluster.apply(policyFor(there, 'nobody'));
      await until(
        'the policy to refuse',
        async () => `said ${await ask(address)}`,
        /said (?!served)/,
      );
      await cluster.apply(policyFor(there, here));
      await until('the policy to admit', () => ask(address), /^served$/);
    });

    test("a pod reaches other sites' nodes and machines outside, under the router's address", async () => {
      const open = await inPod(
        'sh',
        '-c',
        `nc -w 5 ${controller.address} 6443 </dev/null && echo open`,
      );
      expect(open.stdout).toBe('open\n');
      const outside = net.createServer((socket) => {
        socket.on('error', () => {});
        socket.end(`${socket.remoteAddress}\n`);
      });
      outside.listen(0, upstream.gateway);
      await once(outside, 'listening');
      try {
        const { port } = outside.address() as net.AddressInfo;
        const { stdout } = await inPod('nc', '-w', '5', upstream.gateway, String(port));
        expect(stdout).toBe(`${site?.publicAddress}\n`);
      } finally {
        outside.close();
      }
    });

    test('a pod of another site is refused at once', async () => {
      const { items } = await cluster.getJson(['pods', '-n', 'kube-system', '-o', 'wide']);
      const far = items.find(
        ({ spec }: KubeJson) => spec.nodeName === 'yard-control' && spec.hostNetwork !== true,
      );
      const { exitCode, stderr } = await inPod('nc', '-w', '30', far.status.podIP, '53');
      expect([exitCode, stderr]).toEqual([
        1,
        expect.stringMatching(/No route to host|Host is unreachable/),
      ]);
    });
  },
);

/** Meanwhile the controller has nothing to give: it lost its store. */
async function joinWithBundle(
  controller: TestNode,
  node: TestNode,
  token: string,
): Promise<Worker> {
  const blobs = '/var/lib/mini-k8s/store/blobs';
  await controller.run(['mv', blobs, `${blobs}.away`]);
  try {
    const args = ['--bundle', nodePaths.bundle, '--trust-bundle', findProduct().bundleSha256];
    const worker = await startWorker(node, { token, args });
    await worker.waitReady();
    return worker;
  } finally {
    await controller.run(['mv', `${blobs}.away`, blobs]);
  }
}

function podOn(name: string) {
  const command = `mkdir -p /www && echo 'this is ${name}' > /www/index.html && exec httpd -f -v -p 8080 -h /www`;
  const pod = testPod({ name, namespace, command: ['sh', '-c', command] });
  return { ...pod, spec: { ...pod.spec, nodeName: name } };
}

function serviceOf(name: string) {
  const spec = { selector: { app: name }, ports: [{ port: 8080, targetPort: 8080 }] };
  return { apiVersion: 'v1', kind: 'Service', metadata: { name, namespace }, spec };
}

/** Lets pods of one app in, and nobody else. */
function policyFor(name: string, app: string) {
  const spec = {
    podSelector: { matchLabels: { app: name } },
    policyTypes: ['Ingress'],
    ingress: [{ from: [{ podSelector: { matchLabels: { app } } }] }],
  };
  const metadata = { name, namespace };
  return { apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy', metadata, spec };
}

async function until(subject: string, probe: () => Promise<string>, wanted: RegExp): Promise<void> {
  let last = '';
  await waitFor(
    async () => {
      last = await probe();
      return wanted.test(last);
    },
    { subject, timeoutMs: 120_000, intervalMs: 500, describe: () => last },
  );
}

/** Waits for what follows a start: garbage is collected a little later. */
async function expectSmallSupervisor(node: TestNode, limitMiB: number): Promise<void> {
  let mebibytes = 0;
  await waitFor(
    async () => {
      const own = (await node.processes()).filter(({ commandLine: [program = ''] }) =>
        /(^|\/)mini-k8s( worker)?$/.test(program),
      );
      if (own.length === 0) throw new Error(`no supervisor on ${node.name}`);
      mebibytes = Math.max(...own.map(({ anonymousBytes }) => anonymousBytes)) / 1024 ** 2;
      return mebibytes < limitMiB;
    },
    {
      subject: `the supervisor of ${node.name} to take less than ${limitMiB} MiB`,
      timeoutMs: 60_000,
      intervalMs: 1000,
      describe: () => `${mebibytes.toFixed(1)} MiB`,
    },
  );
}
