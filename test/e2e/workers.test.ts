import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { waitFor } from '../../src/base/time.ts';
import { type Cluster, startCluster } from '../support/e2e/cluster.ts';
import { explainFailures } from '../support/e2e/explain-failures.ts';
import { startPods, testPod } from '../support/e2e/objects.ts';
import { createProductNode, nodePaths } from '../support/e2e/product.ts';
import { createToken, startWorker, type Worker } from '../support/e2e/worker.ts';
import { createNatSite } from '../support/node/create-nat-site.ts';
import { createSite } from '../support/node/create-site.ts';
import { nodeSkipReason } from '../support/node/skip-reason.ts';
import type { NatSite, Site, TestNode } from '../support/node/types.ts';

const sameAddress = '192.168.77.10';
const names = ['edge-a', 'edge-b'] as const;
const namespace = 'edge';

// A controller, and two workers behind two routers that let nothing in; both workers have one and the same address.
describe.skipIf(nodeSkipReason() !== undefined)(
  'workers at two sites with the same private address',
  { timeout: 180_000 },
  () => {
    let upstream: Site;
    let sites: NatSite[] = [];
    let controller: TestNode;
    let nodes: TestNode[] = [];
    let cluster: Cluster;
    let workers: Worker[] = [];

    beforeAll(async () => {
      upstream = await createSite('edge-main');
      controller = await createProductNode({ name: 'edge-control', network: { site: upstream } });
      cluster = await startCluster(controller);
      for (const name of names) {
        const site = await createNatSite({ name, upstream });
        sites.push(site);
        const network = { site, address: sameAddress };
        nodes.push(await createProductNode({ name, network }));
      }
      await cluster.waitReady();
      for (const node of nodes) {
        workers.push(await startWorker(node, cluster, { token: await createToken(cluster) }));
      }
      for (const worker of workers) await worker.waitReady();
      for (const node of nodes) await importTestImage(node);
      await startPods(
        cluster,
        namespace,
        names.flatMap((name) => [podOn(name), serviceOf(name)]),
      );
    }, 280_000);
    afterAll(async () => {
      for (const node of nodes) await node.destroy();
      for (const site of sites) await site.destroy();
      await controller?.destroy();
      await upstream?.destroy();
      [sites, nodes, workers] = [[], [], []];
    });
    explainFailures(() => cluster);

    test('both are nodes, at one address, each at a site of its own', async () => {
      const { items } = await cluster.getJson(['nodes', ...names]);
      for (const [index, node] of items.entries()) {
        expect(node.status.addresses).toContainEqual({ type: 'InternalIP', address: sameAddress });
        expect(node.metadata.labels).toMatchObject({
          'mini-k8s.io/behind-nat': 'true',
          'mini-k8s.io/site': `nat-${sites[index]?.publicAddress}`,
        });
      }
    });

    test.each(names)('logs, exec and cp go to %s and no other', async (name) => {
      const pod = ['-n', namespace];
      expect(await cluster.kubectl(['logs', ...pod, name])).toContain(`this is ${name}`);
      expect(await cluster.kubectl(['exec', ...pod, name, '--', 'cat', '/etc/hostname'])).toBe(
        `${name}\n`,
      );
      await controller.writeFile('/root/sent', `for ${name}`);
      await cluster.kubectl(['cp', '/root/sent', `${namespace}/${name}:/tmp/got`]);
      expect(await cluster.kubectl(['exec', ...pod, name, '--', 'cat', '/tmp/got'])).toBe(
        `for ${name}`,
      );
    });

    test.each(names)('the pod and the service proxy reach %s', async (name) => {
      for (const kind of ['pods', 'services']) {
        const path = `/api/v1/namespaces/${namespace}/${kind}/${name}:8080/proxy/`;
        expect(await cluster.kubectl(['get', '--raw', path])).toContain(`this is ${name}`);
      }
    });

    test('kubectl top shows both', async () => {
      await waitFor(
        async () => {
          const { stdout } = await cluster.mini(['kubectl', 'top', 'nodes']);
          return names.every((name) => new RegExp(`^${name} +\\d+m`, 'm').test(stdout));
        },
        { subject: 'kubectl top nodes to show both', timeoutMs: 60_000, intervalMs: 1000 },
      );
    });

    test.each(names)(
      'a pod on %s resolves names, reaches a Service of its site and the API',
      async (name) => {
        const inPod = (script: string) =>
          cluster.kubectl(['exec', '-n', namespace, name, '--', 'sh', '-c', script]);
        await waitFor(
          async () => {
            const { stdout } = await cluster.mini([
              ...['kubectl', 'exec', '-n', namespace, name, '--'],
              ...['nslookup', 'kubernetes.default.svc.cluster.local'],
            ]);
            return stdout.includes('10.96.0.1');
          },
          { subject: `DNS on ${name}`, timeoutMs: 60_000, intervalMs: 1000 },
        );
        expect(await inPod(`nslookup ${name}.${namespace}.svc.cluster.local`)).toMatch(
          /Address.*10\./,
        );
        const service = `printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 5 ${name}.${namespace}.svc.cluster.local 8080`;
        expect(await inPod(service)).toContain(`this is ${name}`);
        const api = 'kubernetes.default.svc.cluster.local';
        expect(await inPod(`nc -w 5 ${api} 443 < /dev/null && echo open`)).toBe('open\n');
      },
    );

    test('tunnel status and the metrics show both ends of each tunnel', async () => {
      const { tunnels } = JSON.parse(await cluster.run(['tunnel', 'status', '-o', 'json']));
      const rows = names.map((peer, index) => ({
        ...{ peer, isConnected: true, site: `nat-${sites[index]?.publicAddress}` },
        remoteAddress: sites[index]?.publicAddress,
      }));
      expect(tunnels).toMatchObject(rows);
      expect(await readMetrics(controller)).toMatch(
        /^mini_k8s_tunnel_bytes_total\{node="edge-b",direction="from_node"\} [1-9]\d*$/m,
      );
      for (const { node } of workers) {
        const own = JSON.parse(
          await node.run([nodePaths.executable, 'tunnel', 'status', '-o', 'json']),
        );
        const peer = `${controller.address}:9443`;
        expect(own).toMatchObject({ node: node.name, role: 'worker', tunnels: [{ peer }] });
        const ways = /^mini_k8s_tunnel_agent_bytes_total\{.*direction="to_controller"\} [1-9]\d*$/m;
        expect(await readMetrics(node)).toMatch(ways);
      }
    });

    test('the token is nowhere once the node is a member', async () => {
      for (const [index, node] of nodes.entries()) {
        const { stdout } = await node.exec([
          ...['sh', '-c', 'ls /var/lib/mini-k8s/etc /var/lib/mini-k8s/state; ps ax -o args'],
        ]);
        expect(stdout).toContain('kubelet.kubeconfig\n');
        expect(stdout).not.toMatch(/^kubelet-bootstrap/m);
        expect(stdout).not.toContain('mk1.w.');
        expect(workers[index]?.process.output()).not.toMatch(/mk1\.w\./);
      }
    });

    test('a worker without any network starts its static pods, and comes back by itself', async () => {
      const [worker] = workers;
      const [site] = sites;
      if (worker === undefined || site === undefined) throw new Error('no worker');
      const { node } = worker;
      await node.writeFile(
        '/var/lib/mini-k8s/static-pods/beacon.json',
        JSON.stringify(staticPod()),
      );
      await site.cutLink();
      expect(await worker.stop()).toBe(0);
      await endContainers(node);
      const again = await startWorker(node, cluster);
      workers[0] = again;
      await waitFor(
        async () => {
          if (again.process.exitCode !== undefined) throw new Error('the worker ended');
          return answers(node);
        },
        {
          subject: 'the static pod to serve without a network',
          timeoutMs: 90_000,
          intervalMs: 500,
          describe: () => again.process.output().split('\n').slice(-30).join('\n'),
        },
      );
      await site.restoreLink();
      await again.waitReady(120_000);
      // The node may still count as Ready from before the cut: only the pod's new container says that it is back.
      await waitFor(
        async () => {
          const { stdout } = await cluster.mini(['kubectl', 'logs', '-n', namespace, 'edge-a']);
          return stdout.includes('this is edge-a');
        },
        {
          subject: 'the pod from before to run again',
          timeoutMs: 60_000,
          intervalMs: 500,
          describe: () => again.process.output().split('\n').slice(-30).join('\n'),
        },
      );
    });
  },
);

function podOn(name: string) {
  const command = `ln -s /bin/busybox /bin/tar && mkdir -p /www && echo 'this is ${name}' | tee /www/index.html && exec httpd -f -p 8080 -h /www`;
  const pod = testPod({ name, namespace, command: ['sh', '-c', command] });
  return { ...pod, spec: { ...pod.spec, nodeName: name } };
}

function serviceOf(name: string) {
  const ports = [{ port: 8080, targetPort: 8080 }];
  const spec = { selector: { app: name }, ports };
  return { apiVersion: 'v1', kind: 'Service', metadata: { name, namespace }, spec };
}

function staticPod() {
  const command = [
    'sh',
    '-c',
    'mkdir -p /www && echo alive > /www/index.html && exec httpd -f -p 18080 -h /www',
  ];
  const pod = testPod({ name: 'beacon', namespace: 'kube-system', command });
  return { ...pod, spec: { ...pod.spec, hostNetwork: true } };
}

/** As an operator's one line does. */
function readMetrics(node: TestNode): Promise<string> {
  const socket = '/run/mini-k8s/status.sock';
  return node.run(['curl', '-sS', '--unix-socket', socket, 'http://localhost/metrics']);
}

/** The static pod's web server, asked on the node itself. */
async function answers(node: TestNode): Promise<boolean> {
  const request =
    'exec 3<>/dev/tcp/127.0.0.1/18080 && printf "GET / HTTP/1.0\\r\\n\\r\\n" >&3 && timeout 3 cat <&3';
  return (await node.exec(['bash', '-c', request])).stdout.includes('alive');
}

/** As a power cut does: nothing of the pods runs any more. */
async function endContainers(node: TestNode): Promise<void> {
  await node.exec(['sh', '-c', 'pkill -9 -f containerd-shim; pkill -9 -x httpd; true']);
}

async function importTestImage(node: TestNode): Promise<void> {
  await node.run([
    ...[nodePaths.executable, 'ctr', 'images', 'import', `${nodePaths.testImages}/busybox.tar`],
  ]);
}
