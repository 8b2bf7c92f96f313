import { describe, expect, it } from 'vitest';
import { flagsOf, jsonFile, planFor } from '../../support/plan-inputs.ts';

function processOf(plan: Awaited<ReturnType<typeof planFor>>, name: string) {
  const found = plan.processes.find((process) => process.name === name);
  if (found === undefined) throw new Error(`no process ${name}`);
  return found;
}

function fileEndingIn(plan: Awaited<ReturnType<typeof planFor>>, name: string): string {
  return plan.files.find((file) => file.path.endsWith(name))?.content ?? '';
}

describe('cgroups', () => {
  it.each([
    { cgroupVersion: 'v2', isSystemd: true, driver: 'systemd' },
    { cgroupVersion: 'v2', isSystemd: false, driver: 'cgroupfs' },
    { cgroupVersion: 'v1', isSystemd: true, driver: 'cgroupfs' },
    { cgroupVersion: 'v1', isSystemd: false, driver: 'cgroupfs' },
  ] as const)('kubelet and containerd agree on %o', async ({ driver, ...host }) => {
    const plan = await planFor({ host });
    expect(jsonFile(plan, 'kubelet.json')).toMatchObject({
      cgroupDriver: driver,
      failCgroupV1: false,
    });
    expect(fileEndingIn(plan, 'containerd.toml')).toContain(
      `SystemdCgroup = ${driver === 'systemd'}`,
    );
  });
});

describe('containerd', () => {
  it('is told when negative oom scores are refused', async () => {
    const plan = await planFor({ host: { allowsNegativeOomScore: false } });
    expect(fileEndingIn(plan, 'containerd.toml')).toContain('restrict_oom_score_adj = true');
  });
});

describe('kube-proxy', () => {
  it.each([
    { mode: 'auto', hasNftables: true, expected: 'nftables' },
    { mode: 'auto', hasNftables: false, expected: 'iptables' },
    { mode: 'iptables', hasNftables: true, expected: 'iptables' },
    { mode: 'nftables', hasNftables: false, expected: 'nftables' },
  ])('%o', async ({ mode, hasNftables, expected }) => {
    const plan = await planFor({
      spec: `  network: {kubeProxy: {mode: ${mode}}}`,
      host: { hasNftables },
    });
    expect(jsonFile(plan, 'kube-proxy.json')).toMatchObject({ mode: expected });
  });

  it('leaves conntrack alone in a network namespace', async () => {
    const plan = await planFor({ host: { allowsConntrackSysctls: false } });
    expect(jsonFile(plan, 'kube-proxy.json')).toMatchObject({
      conntrack: { maxPerCore: 0, min: 0 },
    });
  });
});

describe('kube-apiserver', () => {
  it('always advertises an address, and routes kubelets by name', async () => {
    const flags = flagsOf(await planFor(), 'kube-apiserver');
    expect(flags.get('advertise-address')).toBe('192.168.7.20');
    expect(flags.get('kubelet-preferred-address-types')).toBe('Hostname,InternalIP');
    expect(flags.get('enable-aggregator-routing')).toBe('true');
  });

  it('has every name in its certificate that clients call it by', async () => {
    const plan = await planFor({ spec: '  api: {sans: [cluster.example.com, 203.0.113.9]}' });
    const certificate = plan.pki.certificates.find(({ name }) => name === 'kube-apiserver');
    expect(certificate?.dnsNames).toEqual([
      'localhost',
      'kubernetes',
      'kubernetes.default',
      'kubernetes.default.svc',
      'kubernetes.default.svc.cluster.local',
      'edge-1',
      'cluster.example.com',
    ]);
    expect(certificate?.ipAddresses).toEqual([
      '127.0.0.1',
      '10.96.0.1',
      '192.168.7.20',
      '203.0.113.9',
    ]);
  });

  it('answers nobody without credentials but health checks', async () => {
    expect(jsonFile(await planFor(), 'authentication.json')).toMatchObject({
      anonymous: {
        enabled: true,
        conditions: [{ path: '/livez' }, { path: '/readyz' }, { path: '/healthz' }],
      },
    });
  });

  it('has no secret in its arguments', async () => {
    const plan = await planFor();
    const all = plan.processes.flatMap(({ args, env }) => [...args, ...Object.values(env)]);
    expect(all.filter((text) => text.includes('${secret:'))).toEqual([]);
  });
});

describe('kubelet', () => {
  it('is named only when the machine has another name', async () => {
    expect(flagsOf(await planFor(), 'kubelet').has('hostname-override')).toBe(false);
    const plan = await planFor({ spec: '  node: {name: other}' });
    expect(flagsOf(plan, 'kubelet').get('hostname-override')).toBe('other');
  });

  it('gives pods a resolver that is not loopback', async () => {
    const path = '/run/systemd/resolve/resolv.conf';
    const plan = await planFor({ host: { resolvConf: { path, nameservers: ['192.168.7.1'] } } });
    expect(jsonFile(plan, 'kubelet.json')).toMatchObject({ resolvConf: path, failSwapOn: false });
  });
});

describe('tuning', () => {
  it('upstream leaves the garbage collector and the flags alone', async () => {
    const plan = await planFor({ spec: '  tuning: upstream' });
    expect(plan.processes.filter(({ env }) => 'GOGC' in env)).toEqual([]);
    expect(flagsOf(plan, 'etcd').has('snapshot-count')).toBe(false);
    expect(flagsOf(plan, 'kube-apiserver').has('event-ttl')).toBe(false);
  });

  it('small gives every Go process a tighter heap', async () => {
    const plan = await planFor();
    for (const process of plan.processes) expect(Number(process.env.GOGC)).toBeLessThan(100);
  });
});

describe('etcd', () => {
  it('listens on loopback only and owns its data', async () => {
    const plan = await planFor({ host: { etcdUser: { uid: 104, gid: 107 } } });
    expect(processOf(plan, 'etcd')).toMatchObject({ uid: 104, gid: 107 });
    const urls = [...flagsOf(plan, 'etcd')].filter(([name]) => name.endsWith('-urls'));
    expect(urls.length).toBeGreaterThanOrEqual(5);
    for (const [, url] of urls) expect(url).toMatch(/^https?:\/\/127\.0\.0\.1:\d+$/);
  });
});

describe('names of the API server', () => {
  it('has no address that comes and goes with the pods', async () => {
    const addresses = [
      { interface: 'eth0', address: '192.168.7.20', prefix: 24 },
      { interface: 'wlan0', address: '192.168.9.3', prefix: 24 },
      { interface: 'kube-bridge', address: '10.244.0.1', prefix: 24 },
    ];
    const plan = await planFor({ host: { addresses } });
    const server = plan.pki.certificates.find(({ name }) => name === 'kube-apiserver');
    expect(server?.ipAddresses).toEqual(['127.0.0.1', '10.96.0.1', '192.168.7.20', '192.168.9.3']);
  });
});

describe('stopping', () => {
  it('is over within 20 s even when every component must be killed', async () => {
    const plan = await planFor();
    const byName = new Map(plan.processes.map((process) => [process.name, process]));
    const longest = (name: string): number => {
      const process = byName.get(name);
      if (process === undefined) return 0;
      return process.stopTimeoutMs + Math.max(0, ...process.dependsOn.map(longest));
    };
    expect(Math.max(...plan.processes.map(({ name }) => longest(name)))).toBeLessThan(20_000);
  });
});
