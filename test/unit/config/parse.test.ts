import { describe, expect, it } from 'vitest';
import { UserError, UserErrors } from '../../../src/base/errors.ts';
import { checkHost, defaultConfig, parseConfig } from '../../../src/config/parse.ts';
import { smallHost } from '../../support/plan-inputs.ts';

/** The messages of everything that is wrong with a document. */
async function problemsOf(text: string): Promise<string[]> {
  try {
    await parseConfig(text, 'c.yaml');
    return [];
  } catch (error) {
    if (error instanceof UserErrors) return error.errors.map(({ why }) => why);
    if (error instanceof UserError) return [error.why];
    throw error;
  }
}

describe('parseConfig', () => {
  it('fills every default from an empty document', async () => {
    const config = await defaultConfig();
    expect(config.spec.network).toMatchObject({
      podCIDR: '10.244.0.0/16',
      serviceCIDR: '10.96.0.0/12',
    });
    expect(await parseConfig('{}', 'c.yaml')).toEqual(config);
    expect(await parseConfig(JSON.stringify(config), 'c.json')).toEqual(config);
  });

  it('names an unknown key by its path and the nearest valid one', async () => {
    expect(await problemsOf('spec: {network: {podCdir: 10.1.0.0/16}}')).toEqual([
      'spec.network.podCdir: unknown key; did you mean "podCIDR"?',
    ]);
    expect(await problemsOf('spec: {addons: {xyz: 1}}')).toEqual([
      'spec.addons.xyz: unknown key; valid keys: coredns, metricsServer',
    ]);
  });

  it('tells ten mistakes in one run', async () => {
    const problems = await problemsOf(`
apiVersion: v1
kind: Cluster
metadata: {name: "Bad Name"}
spec:
  api: {address: 1.2.3, port: 0, sans: [""]}
  node: {name: -x, labels: {a: "b c"}}
  network: {podCIDR: 10.0.0.1/8, provider: flannel}
  hardening: max
  extra: 1
`);
    expect(problems.map((text) => text.split(':')[0]).toSorted()).toEqual([
      'apiVersion',
      'kind',
      'metadata.name',
      'spec.api.address',
      'spec.api.port',
      'spec.api.sans.0',
      'spec.extra',
      'spec.hardening',
      'spec.network.podCIDR',
      'spec.network.provider',
      'spec.node.labels.a',
      'spec.node.name',
    ]);
  });

  it.each([
    ['spec: {network: {podCIDR: 10.96.0.0/16}}', 'overlaps spec.network.serviceCIDR'],
    ['spec: {network: {podCIDR: 10.1.2.0/25}}', 'every node takes a /24'],
    [
      'spec: {network: {serviceCIDR: 10.0.0.0/8, podCIDR: 172.16.0.0/16}}',
      'prefix from /12 to /28',
    ],
    ['spec: {storage: {etcd: {clientPort: 6443}}}', '6443 is also spec.api.port'],
    ['spec: {network: {nodePortRange: 32767-30000}}', 'not a range of ports'],
    ['spec: [1]', 'expected object'],
    ['- a', 'the document is not a mapping'],
  ])('refuses %s', async (text, why) => {
    expect((await problemsOf(text)).join('\n')).toContain(why);
  });

  it('names the line of broken YAML', async () => {
    expect((await problemsOf('spec:\n  api: {port: 1')).join('\n')).toMatch(/line 2/);
  });
});

describe('checkHost', () => {
  async function whysOf(spec: string, host = smallHost): Promise<string[]> {
    return checkHost(await parseConfig(spec, 'c.yaml'), host, 'c.yaml').map(({ why }) => why);
  }

  it('accepts a machine outside of the cluster networks', async () => {
    expect(await whysOf('')).toEqual([]);
  });

  it('refuses networks that contain an address or the gateway of the machine', async () => {
    expect(await whysOf('spec: {network: {podCIDR: 192.168.0.0/16}}')).toEqual([
      expect.stringContaining("contains this machine's address 192.168.7.20 of eth0"),
      expect.stringContaining("contains this machine's default gateway 192.168.7.1"),
    ]);
    const host = {
      ...smallHost,
      addresses: [{ interface: 'eth0', address: '10.99.0.20', prefix: 24 }],
    };
    expect(await whysOf('', host)).toEqual([
      expect.stringMatching(/^spec.network.serviceCIDR: 10.96.0.0\/12 contains/),
    ]);
  });

  it("accepts the pod bridge's own address on a later start", async () => {
    const bridge = { interface: 'kube-bridge', address: '10.244.0.1', prefix: 24 };
    expect(await whysOf('', { ...smallHost, addresses: [...smallHost.addresses, bridge] })).toEqual(
      [],
    );
  });

  it('refuses a host name that is no node name, unless one is given', async () => {
    const host = { ...smallHost, hostname: 'my_box' };
    expect(await whysOf('', host)).toEqual([
      expect.stringContaining('"my_box" is not a node name'),
    ]);
    expect(await whysOf('spec: {node: {name: box}}', host)).toEqual([]);
  });
});
