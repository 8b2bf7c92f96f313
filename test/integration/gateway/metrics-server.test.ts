import { request } from 'node:https';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { waitFor } from '../../../src/base/time.ts';
import type { KubeObject } from '../../../src/kube-client/types.ts';
import { startControlPlane, type TestControlPlane } from '../../support/control-plane.ts';
import { freePorts } from '../../support/free-ports.ts';
import { nodeSkipReason } from '../../support/node/skip-reason.ts';
import { createTestAuthority } from '../../support/tls-authority.ts';
import {
  type FakeKubelet,
  type MetricsServer,
  type ProxyRig,
  startFakeKubelet,
  startMetricsServer,
  startProxyRig,
} from './metrics-rig.ts';

const authority = createTestAuthority();
/** The nodes of the test; the first two have one address, the third has no tunnel. */
const nodeNames: readonly string[] = ['edge-1', 'edge-2', 'edge-3'];
const kubeletPort = 10_250;

describe.skipIf(nodeSkipReason() !== undefined)('the packaged metrics-server', () => {
  let controlPlane: TestControlPlane;
  let kubelets: readonly FakeKubelet[] = [];
  let rig: ProxyRig;

  beforeAll(async () => {
    controlPlane = await startControlPlane();
    kubelets = [
      await startFakeKubelet(authority, 'edge-1'),
      await startFakeKubelet(authority, 'edge-2'),
    ];
    rig = await startProxyRig({
      directory: path.join(controlPlane.directory, 'gateway'),
      authority,
      kubeletPort,
      route: (host) => {
        const port = kubelets[nodeNames.indexOf(host)]?.port;
        if (port === undefined) {
          return { type: 'refuse', status: 503, reason: `node ${host} has no tunnel: away` };
        }
        return { type: 'dial', address: '127.0.0.1', port, subject: `kubelet of ${host}` };
      },
    });
    await registerNodes(controlPlane);
  });
  afterAll(async () => {
    await rig?.stop();
    for (const kubelet of kubelets) await kubelet.close();
    await controlPlane?.stop();
  });

  test('scrapes nodes with one address through the gateway, each by its name', async () => {
    const server = await start(authority.ca);
    try {
      const usage = await waitFor(async () => topNodes(server), {
        subject: 'kubectl top nodes',
        // Two rounds of ten seconds.
        timeoutMs: 150_000,
        describe: () => server.output().slice(-2000),
      });
      expect(usage.map(({ name }) => name).sort()).toEqual(['edge-1', 'edge-2']);
      for (const { cpu, memory } of usage) {
        expect(memory).toBe('100Mi');
        // A quarter, as precisely as two clocks' readings are.
        expect(cpusOf(cpu)).toBeGreaterThan(0.2);
        expect(cpusOf(cpu)).toBeLessThan(0.3);
      }
      for (const kubelet of kubelets) {
        expect(kubelet.requests[0]).toBe(`GET /metrics/resource Bearer ${controlPlane.adminToken}`);
      }
      expect(new Set(rig.routed)).toEqual(
        new Set([
          `edge-1:${kubeletPort} dial`,
          `edge-2:${kubeletPort} dial`,
          `edge-3:${kubeletPort} refuse`,
        ]),
      );
      expect(server.output(), 'says why a node has none').toContain(
        'node edge-3 has no tunnel: away',
      );
    } finally {
      await server.stop();
    }
  });

  test('gives its password to no gateway of another authority', async () => {
    const routed = rig.routed.length;
    const complaints = rig.log();
    const server = await start(createTestAuthority('other').ca);
    try {
      await waitFor(() => server.output().includes('unknown authority'), {
        subject: 'its complaint',
        timeoutMs: 60_000,
        describe: () => server.output().slice(-2000),
      });
      expect(rig.routed).toHaveLength(routed);
      expect(rig.log().slice(complaints.length)).not.toContain('proxy for metrics');
    } finally {
      await server.stop();
    }
  });

  async function start(ca: string): Promise<MetricsServer> {
    const [port = 0] = await freePorts(1);
    return startMetricsServer({ controlPlane, gatewayPort: rig.port, port, ca });
  }

  async function topNodes(server: MetricsServer) {
    const text = await get(server.port, '/apis/metrics.k8s.io/v1beta1/nodes');
    const { items = [] } = JSON.parse(text === '' ? '{}' : text) as NodeMetricsList;
    if (items.length < 2) return undefined;
    return items.map(({ metadata, usage }) => ({ name: metadata.name, ...usage }));
  }

  /** The body of a 200, else nothing. */
  function get(port: number, url: string): Promise<string> {
    return new Promise((resolve) => {
      const headers = { authorization: `Bearer ${controlPlane.adminToken}` };
      const call = request({
        ...{ host: '127.0.0.1', port, path: url, headers },
        rejectUnauthorized: false,
      });
      call.once('error', () => resolve(''));
      call.once('response', (response) => {
        let body = '';
        response.on('data', (chunk: Buffer) => {
          body += chunk.toString();
        });
        response.once('close', () => resolve(response.statusCode === 200 ? body : ''));
      });
      call.end();
    });
  }
});

interface NodeMetricsList {
  readonly items?: readonly {
    readonly metadata: { readonly name: string };
    readonly usage: { readonly cpu: string; readonly memory: string };
  }[];
}

/** `250123456n`, `250123u` and `250m` are a quarter of a CPU. */
function cpusOf(quantity: string): number {
  const units: Readonly<Record<string, number>> = { n: 1e-9, u: 1e-6, m: 1e-3 };
  return Number.parseInt(quantity, 10) * (units[quantity.slice(-1)] ?? 1);
}

async function registerNodes(controlPlane: TestControlPlane): Promise<void> {
  const client = controlPlane.connect();
  for (const name of nodeNames) {
    const node = { apiVersion: 'v1', kind: 'Node', metadata: { name } };
    const created = await client.create<KubeObject>(node);
    const status = {
      addresses: [
        { type: 'InternalIP', address: '192.168.77.10' },
        { type: 'Hostname', address: name },
      ],
      daemonEndpoints: { kubeletEndpoint: { Port: kubeletPort } },
      conditions: [{ type: 'Ready', status: 'True' }],
    };
    await client.replace({ ...created, status }, 'status');
  }
}
