import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { waitFor } from '../../../src/base/time.ts';
import { edgeNamespace } from '../../support/e2e/edge-pods.ts';
import { createEdgeNode, type Edge, type EdgeSites } from '../../support/e2e/edge-sites.ts';
import { isRunningReady } from '../../support/e2e/faults.ts';
import { testPod } from '../../support/e2e/objects.ts';
import { startWorker } from '../../support/e2e/worker.ts';
import type { TestNode } from '../../support/node/types.ts';
import { servedBinds } from './served.suite.ts';

const name = 'edge-b';
const beaconFile = '/var/lib/mini-k8s/static-pods/beacon.json';

/** Power and network are gone together; only the power comes back at first. */
export function describeOffline(sites: () => EdgeSites): void {
  describe('a worker without any network', () => {
    test('starts from its disk after a power cut, and joins in again when the network is back', async () => {
      const edge = sites().edge(name);
      await edge.node.writeFile(beaconFile, JSON.stringify(staticPod()));
      await edge.node.run(['sync', beaconFile, path.dirname(beaconFile)]);
      await edge.site.cutLink();
      await edge.node.cutPower();
      edge.node = await createEdgeNode(name, edge.site, {
        binds: await servedBinds(),
        wantsDefaultRoute: false,
      });
      const { node } = edge;
      edge.worker = await startWorker(node);
      await waitUntil(edge, 'the static pod to serve without a network', () => answers(node));
      expect(await node.run(['ip', 'route', 'show', 'default'])).toBe('');
      const status = await edge.worker.status();
      for (const component of ['containerd', 'kubelet', 'tunnel-agent']) {
        expect(isRunningReady(status, component), component).toBe(true);
      }
      expect(status.agent?.controllers).toEqual([
        expect.objectContaining({ isConnected: false, lastError: expect.any(String) }),
      ]);

      const supervisor = status.supervisor.pid;
      await node.run(['ip', 'route', 'add', 'default', 'via', node.gateway]);
      await edge.site.restoreLink();
      // The node may still count as Ready from before the cut, and the old container's log is still there.
      const exec = ['kubectl', 'exec', '-n', edgeNamespace, name, '--', 'hostname'];
      await waitUntil(edge, 'the pod from before to run again', async () => {
        const { stdout } = await sites().cluster.mini(exec);
        return stdout === `${name}\n`;
      });
      await edge.worker.waitReady();
      const after = await edge.worker.status();
      expect(after.supervisor.pid).toBe(supervisor);
      expect(
        after.components.map(({ name: component, restartCount }) => ({ component, restartCount })),
      ).toEqual(after.components.map(({ name: component }) => ({ component, restartCount: 0 })));
    });
  });
}

function waitUntil(edge: Edge, subject: string, isDone: () => Promise<boolean>): Promise<boolean> {
  const { process } = edge.worker;
  return waitFor(
    async () => {
      if (process.exitCode !== undefined) throw new Error(`the worker ended: ${process.output()}`);
      return isDone();
    },
    {
      subject,
      timeoutMs: 90_000,
      intervalMs: 500,
      describe: () => process.output().split('\n').slice(-30).join('\n'),
    },
  );
}

function staticPod() {
  const script = 'mkdir -p /www && echo alive > /www/index.html && exec httpd -f -p 18080 -h /www';
  const command = ['sh', '-c', script];
  const pod = testPod({ name: 'beacon', namespace: 'kube-system', command });
  return { ...pod, spec: { ...pod.spec, hostNetwork: true } };
}

/** The static pod's web server, asked on the node itself. */
async function answers(node: TestNode): Promise<boolean> {
  const request =
    'exec 3<>/dev/tcp/127.0.0.1/18080 && printf "GET / HTTP/1.0\\r\\n\\r\\n" >&3 && timeout 3 cat <&3';
  return (await node.exec(['bash', '-c', request])).stdout.includes('alive');
}
