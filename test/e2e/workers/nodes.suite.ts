import { describe, expect, test } from 'vitest';
import { waitFor } from '../../../src/base/time.ts';
import { edgeNamespace } from '../../support/e2e/edge-pods.ts';
import { type EdgeSites, edgeAddress, edgeNames } from '../../support/e2e/edge-sites.ts';
import { nodePaths } from '../../support/e2e/product.ts';
import type { TestNode } from '../../support/node/types.ts';

/** What a worker is in the cluster, and what its pods find at their site. */
export function describeNodes(sites: () => EdgeSites): void {
  describe('nodes', () => {
    test('both are nodes, at one address, each at a site of its own', async () => {
      const { items } = await sites().cluster.getJson(['nodes', ...edgeNames]);
      for (const [index, node] of items.entries()) {
        expect(node.status.addresses).toContainEqual({ type: 'InternalIP', address: edgeAddress });
        expect(node.metadata.labels).toMatchObject({
          'mini-k8s.io/behind-nat': 'true',
          'mini-k8s.io/site': `nat-${sites().edges[index]?.site.publicAddress}`,
        });
      }
    });

    test('kubectl top shows both', async () => {
      await waitFor(
        async () => {
          const { stdout } = await sites().cluster.mini(['kubectl', 'top', 'nodes']);
          return edgeNames.every((name) => new RegExp(`^${name} +\\d+m`, 'm').test(stdout));
        },
        { subject: 'kubectl top nodes to show both', timeoutMs: 60_000, intervalMs: 1000 },
      );
    });

    test.each(edgeNames)(
      'a pod on %s resolves names, reaches a Service of its site and the API',
      async (name) => {
        const { cluster } = sites();
        const inPod = (script: string) =>
          cluster.kubectl(['exec', '-n', edgeNamespace, name, '--', 'sh', '-c', script]);
        await waitFor(
          async () => {
            const { stdout } = await cluster.mini([
              ...['kubectl', 'exec', '-n', edgeNamespace, name, '--'],
              ...['nslookup', 'kubernetes.default.svc.cluster.local'],
            ]);
            return stdout.includes('10.96.0.1');
          },
          { subject: `DNS on ${name}`, timeoutMs: 60_000, intervalMs: 1000 },
        );
        const service = `${name}.${edgeNamespace}.svc.cluster.local`;
        expect(await inPod(`nslookup ${service}`)).toMatch(/Address.*10\./);
        const request = `printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 5 ${service} 8080`;
        expect(await inPod(request)).toContain(`this is ${name}`);
        const api = 'kubernetes.default.svc.cluster.local';
        expect(await inPod(`nc -w 5 ${api} 443 < /dev/null && echo open`)).toBe('open\n');
      },
    );

    test('tunnel status and the metrics show both ends of each tunnel', async () => {
      const { cluster, controller, edges } = sites();
      const { tunnels } = JSON.parse(await cluster.run(['tunnel', 'status', '-o', 'json']));
      const rows = edges.map(({ name: peer, site: { publicAddress } }) => ({
        ...{ peer, isConnected: true, site: `nat-${publicAddress}` },
        remoteAddress: publicAddress,
      }));
      expect(tunnels).toMatchObject(rows);
      expect(await readMetrics(controller)).toMatch(
        /^mini_k8s_tunnel_bytes_total\{node="edge-b",direction="from_node"\} [1-9]\d*$/m,
      );
      for (const { node } of edges) {
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
      for (const { node, worker } of sites().edges) {
        const { stdout } = await node.exec([
          ...['sh', '-c', 'ls /var/lib/mini-k8s/etc /var/lib/mini-k8s/state; ps ax -o args'],
        ]);
        expect(stdout).toContain('kubelet.kubeconfig\n');
        expect(stdout).not.toMatch(/^kubelet-bootstrap/m);
        expect(stdout).not.toContain('mk1.w.');
        expect(worker.process.output()).not.toMatch(/mk1\.w\./);
      }
    });
  });
}

/** As an operator's one line does. */
function readMetrics(node: TestNode): Promise<string> {
  const socket = '/run/mini-k8s/status.sock';
  return node.run(['curl', '-sS', '--unix-socket', socket, 'http://localhost/metrics']);
}
