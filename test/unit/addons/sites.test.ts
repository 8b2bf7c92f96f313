import { describe, expect, it } from 'vitest';
import { upstreamDns } from '../../../src/addons/coredns.ts';
import { metricsProxyPassword, metricsServer } from '../../../src/addons/metrics-server.ts';
import type { AddonContext } from '../../../src/addons/types.ts';
import { defaultConfig } from '../../../src/config/parse.ts';
import { planFor } from '../../support/plan-inputs.ts';
import { containersOf, plannedObjects, workload } from './workloads.ts';

const inMain = {
  matchExpressions: [{ key: 'mini-k8s.io/site', operator: 'In', values: ['main'] }],
};
const onControlPlane = {
  matchExpressions: [{ key: 'node-role.kubernetes.io/control-plane', operator: 'Exists' }],
};
const preferred = [
  { weight: 100, preference: inMain },
  { weight: 50, preference: onControlPlane },
];

describe('cluster DNS', () => {
  it('has its replica where every node reaches it, and a pod on each node that does not', async () => {
    const deployment = await workload('coredns');
    expect(deployment.spec.template.spec.affinity?.nodeAffinity).toEqual({
      requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: [inMain] },
      preferredDuringSchedulingIgnoredDuringExecution: preferred,
    });
    const site = await workload('coredns-site');
    expect(site.kind).toBe('DaemonSet');
    expect(site.spec.template.spec.nodeSelector).toEqual({
      'kubernetes.io/os': 'linux',
      'mini-k8s.io/behind-nat': 'true',
    });
  });

  it('goes anywhere when the controllers run no workloads', async () => {
    const deployment = await workload('coredns', { runsWorkloads: false });
    expect(deployment.spec.template.spec.affinity?.nodeAffinity).toEqual({
      preferredDuringSchedulingIgnoredDuringExecution: preferred,
    });
  });

  it('is one Service, which keeps queries on the node or in its zone', async () => {
    const objects = await plannedObjects();
    const service = objects.find(({ metadata }) => metadata.name === 'kube-dns');
    expect(service?.['spec']).toMatchObject({
      clusterIP: '10.96.0.10',
      trafficDistribution: 'PreferSameNode',
      selector: { 'k8s-app': 'kube-dns' },
    });
    for (const name of ['coredns', 'coredns-site']) {
      const { labels } = (await workload(name)).spec.template.metadata;
      expect(labels).toMatchObject({ 'k8s-app': 'kube-dns' });
    }
  });

  it('takes its nameservers from the node that it is on', async () => {
    const objects = await plannedObjects();
    const config = objects.find(
      ({ kind, metadata }) => kind === 'ConfigMap' && metadata.name === 'coredns',
    );
    const { Corefile = '' } = (config?.['data'] ?? {}) as { readonly Corefile?: string };
    expect(Corefile).toContain('import /run/mini-k8s/dns/*.conf\n');
    expect(Corefile).not.toMatch(/^ *(forward|loop)/m);
    for (const name of ['coredns', 'coredns-site']) {
      const deployed = await workload(name);
      const mounts = containersOf(deployed).flatMap(({ volumeMounts }) => volumeMounts);
      expect(mounts).toContainEqual({
        name: 'node',
        mountPath: '/run/mini-k8s/dns',
        readOnly: true,
      });
      expect(deployed.spec.template.spec.volumes).toContainEqual(
        expect.objectContaining({
          hostPath: { path: '/run/mini-k8s/dns', type: 'DirectoryOrCreate' },
        }),
      );
    }
  });
});

describe('the nameservers of a node', () => {
  it.each([
    [['192.168.7.1'], 'forward . 192.168.7.1 {\n    max_concurrent 1000\n}\nloop\n'],
    [[], '# this node has no nameserver\n'],
    [['127.0.0.53', '::1'], '# this node has no nameserver\n'],
    [['fe80::1%eth0', 'not-an-address', '2001:db8::1'], /^forward \. 2001:db8::1 \{/],
    [['10.0.0.1', '10.0.0.2', '10.0.0.3', '10.0.0.4'], /^forward \. 10.0.0.1 10.0.0.2 10.0.0.3 \{/],
  ])('%j', (nameservers, content) => {
    expect(upstreamDns('/run/mini-k8s/dns', nameservers).content).toEqual(
      typeof content === 'string' ? content : expect.stringMatching(content),
    );
  });

  it('are in a file that CoreDNS may read, which is in the plan of a node with pods', async () => {
    const file = (await planFor()).files.find(({ path }) => path.startsWith('/run/mini-k8s/dns/'));
    expect(file).toMatchObject({ path: '/run/mini-k8s/dns/upstream.conf', mode: 0o644 });
    expect(file?.content).toContain('forward . 192.168.7.1 {');
    const directories = (await planFor()).directories;
    expect(directories).toContainEqual({ path: '/run/mini-k8s/dns', mode: 0o755, uid: 0, gid: 0 });
    for (const inputs of [
      { runsWorkloads: false },
      { spec: '  addons: {coredns: {enabled: false}}' },
    ]) {
      const plan = await planFor(inputs);
      expect(JSON.stringify([plan.files, plan.directories])).not.toContain('/run/mini-k8s/dns');
    }
  });
});

describe('kube-router', () => {
  it('looks for new peers often: a node that is Ready has no way to the others before', async () => {
    const { spec } = await workload('kube-router');
    const period = /--routes-sync-period=(\d+)s/.exec(
      String(spec.template.spec.containers[0]?.args),
    )?.[1];
    expect(Number(period)).toBeLessThanOrEqual(15);
  });

  it('waits for the site of its node, and peers within it only', async () => {
    const { spec } = await workload('kube-router');
    expect(spec.template.spec.affinity?.nodeAffinity).toEqual({
      requiredDuringSchedulingIgnoredDuringExecution: {
        nodeSelectorTerms: [
          { matchExpressions: [{ key: 'mini-k8s.io/site', operator: 'Exists' }] },
        ],
      },
    });
    expect(spec.template.spec.containers[0]?.args).toContain('--nodes-full-mesh=false');
  });
});

describe('metrics-server', () => {
  async function planned(gateway: Partial<AddonContext['gateway']> = {}) {
    const { objects } = metricsServer.planStack({
      config: await defaultConfig(),
      images: { coredns: 'c', kubeRouter: 'k', metricsServer: 'm' },
      apiServiceAddress: '10.96.0.1',
      clusterDns: '10.96.0.10',
      dnsDirectory: '/run/mini-k8s/dns',
      runsWorkloads: true,
      gateway: { serverName: 'gateway.test', hosts: ['192.0.2.7'], port: 9443, ...gateway },
    });
    const secret = objects.find(({ kind }) => kind === 'Secret');
    const deployment = objects.find(({ kind }) => kind === 'Deployment');
    return {
      url: (secret?.['stringData'] as { readonly url: string } | undefined)?.url,
      pod: (deployment as unknown as Awaited<ReturnType<typeof workload>>).spec.template.spec,
    };
  }

  it('scrapes by node name, with verified certificates, near the controllers', async () => {
    const deployment = await workload('metrics-server');
    const args = containersOf(deployment)[0]?.args;
    expect(args).toContain('--kubelet-preferred-address-types=Hostname');
    expect(args).toContain(
      '--kubelet-certificate-authority=/var/run/secrets/kubernetes.io/serviceaccount/ca.crt',
    );
    expect(args?.join()).not.toContain('insecure');
    expect(deployment.spec.template.spec.affinity?.nodeAffinity).toEqual({
      preferredDuringSchedulingIgnoredDuringExecution: preferred,
    });
  });

  it('goes through the gateway by its fixed name, and to the API without it', async () => {
    const { url, pod } = await planned({ hosts: ['192.0.2.7', 'k8s.example.com', '203.0.113.9'] });
    expect(url).toBe(`https://metrics-server:\${secret:${metricsProxyPassword}}@gateway.test:9443`);
    expect(pod.hostAliases).toEqual([
      { ip: '192.0.2.7', hostnames: ['gateway.test'] },
      { ip: '203.0.113.9', hostnames: ['gateway.test'] },
    ]);
    expect(pod.containers[0]?.env).toEqual(
      expect.arrayContaining([
        {
          name: 'HTTPS_PROXY',
          valueFrom: { secretKeyRef: { name: 'metrics-server-proxy', key: 'url' } },
        },
        { name: 'NO_PROXY', value: '10.96.0.1,kubernetes.default.svc' },
      ]),
    );
  });

  it('uses a DNS name where there is no address, which no host alias can have', async () => {
    const { url, pod } = await planned({ hosts: ['k8s.example.com'] });
    expect(url).toContain('@k8s.example.com:9443');
    expect(pod.hostAliases).toBeUndefined();
  });

  it.each([
    ['', ['192.168.7.20'], 'gateway.mini-k8s.internal'],
    ['203.0.113.9', ['192.168.7.20', '203.0.113.9'], 'gateway.mini-k8s.internal'],
    ['k8s.example.com', ['192.168.7.20'], 'gateway.mini-k8s.internal'],
  ])('reaches a controller with external address "%s"', async (externalAddress, ips, host) => {
    const spec = `  api: {externalAddress: '${externalAddress}', gatewayPort: 9444}`;
    const { hostAliases } = (await workload('metrics-server', { spec })).spec.template.spec;
    expect(hostAliases).toEqual(ips.map((ip) => ({ ip, hostnames: [host] })));
    const secret = (await plannedObjects({ spec })).find(({ kind }) => kind === 'Secret');
    expect(JSON.stringify(secret)).toContain(`@${host}:9444`);
  });

  it.each([
    ['203.0.113.9', ['203.0.113.9'], 'gateway.mini-k8s.internal'],
    ['k8s.example.com', undefined, 'k8s.example.com'],
  ])('reaches a controller without workloads at %s', async (externalAddress, ips, host) => {
    const inputs = { spec: `  api: {externalAddress: ${externalAddress}}`, runsWorkloads: false };
    const { hostAliases } = (await workload('metrics-server', inputs)).spec.template.spec;
    expect(hostAliases).toEqual(
      ips?.map((ip) => ({ ip, hostnames: ['gateway.mini-k8s.internal'] })),
    );
    const secret = (await plannedObjects(inputs)).find(({ kind }) => kind === 'Secret');
    expect(JSON.stringify(secret)).toContain(`@${host}:9443`);
  });

  it('is made anew when an address of the gateway changes', async () => {
    const before = await planned();
    const after = await planned({ hosts: ['192.0.2.8'] });
    expect(after.pod).not.toEqual(before.pod);
  });
});
