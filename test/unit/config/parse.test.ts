import { describe, expect, it } from 'vitest';
import { UserError, UserErrors } from '../../../src/base/errors.ts';
import { nodeAddressOf, orderAddresses } from '../../../src/config/node-address.ts';
import { checkHost, defaultConfig, inspectConfig, parseConfig } from '../../../src/config/parse.ts';
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

  it('takes a mirror and a CA, and refuses what is none or holds a secret', async () => {
    const artifacts = (fields: object) =>
      problemsOf(JSON.stringify({ spec: { artifacts: fields } }));
    const ca = '-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n';
    const file = '/etc/mini-k8s/mirror';
    expect(
      await artifacts({ mirror: 'http://10.0.0.1:8080/a', ca, credentialsFile: file }),
    ).toEqual([]);
    for (const mirror of ['oci://registry.example:5000/mirror', 'oci+http://10.0.0.1']) {
      expect(await artifacts({ mirror })).toEqual([]);
    }
    for (const mirror of [
      'mirror.example',
      'ftp://a',
      'oci://',
      'oci://u:p@a',
      'https://u:p@a',
      'https://a?b',
      'https://',
    ]) {
      expect(await artifacts({ mirror })).toEqual([
        'spec.artifacts.mirror: is not an http, https, oci or oci+http address without user, password, query and fragment',
      ]);
    }
    expect(await artifacts({ ca: '/etc/ssl/ca.pem', credentialsFile: 'x' })).toEqual([
      'spec.artifacts.ca: is not a certificate in PEM: it goes here itself, not the name of its file',
      'spec.artifacts.credentialsFile: is not an absolute path',
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
    expect(problems.map((text) => text.split(':')[0] ?? '').toSorted()).toEqual([
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
    ['spec: {api: {gatewayPort: 6443}}', '6443 is also spec.api.port'],
    ['spec: {storage: {etcd: {peerPort: 9443}}}', '9443 is also spec.api.gatewayPort'],
    ['spec: {api: {gatewayPort: 0}}', 'spec.api.gatewayPort'],
    [
      'spec: {api: {externalAddress: 127.0.0.1}}',
      'spec.api.externalAddress: 127.0.0.1 is no address',
    ],
    ['spec: {api: {externalAddress: "edge.example.com:9443"}}', 'no port, no scheme'],
    ['spec: {api: {externalAddress: "*.example.com"}}', 'no port, no scheme'],
    ['spec: {api: {externalAddress: 1.2.3}}', 'no port, no scheme'],
    ['spec: {network: {nodePortRange: 32767-30000}}', 'not a range of ports'],
    ['spec: [1]', 'expected object'],
    ['- a', 'the document is not a mapping'],
  ])('refuses %s', async (text, why) => {
    expect((await problemsOf(text)).join('\n')).toContain(why);
  });

  it.each(['', '203.0.113.9', 'edge.example.com', 'Edge.Example.COM'])(
    'takes the external address "%s", a name in lower case',
    async (text) => {
      const spec = `spec: {api: {externalAddress: "${text}"}}`;
      expect((await parseConfig(spec, 'c.yaml')).spec.api).toMatchObject({
        externalAddress: text.toLowerCase(),
        gatewayPort: 9443,
      });
    },
  );

  it('names the line of broken YAML', async () => {
    expect((await problemsOf('spec:\n  api: {port: 1')).join('\n')).toMatch(/line 2/);
  });
});

describe('checkHost', () => {
  async function whysOf(spec: string, host = smallHost): Promise<string[]> {
    const inspected = await inspectConfig(spec, 'c.yaml');
    return [...inspected.errors, ...checkHost(inspected, host, 'c.yaml')].map(({ why }) => why);
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

  it('tells what is wrong here together with what is wrong in the file', async () => {
    const host = { ...smallHost, hostname: 'my_box' };
    const whys = await whysOf(
      `spec:
  api: {port: 99999, sans: ["a b"]}
  network: {podCIDR: 192.168.0.0/16, serviceCIDR: 192.168.128.0/20, podCdir: x}
  extra: {}`,
      host,
    );
    expect(whys.map((why) => why.split(':')[0])).toEqual([
      'spec.api.port',
      'spec.api.sans.0',
      'spec.network.podCdir',
      'spec.extra',
      'spec.node.name',
    ]);
    const known = await whysOf(
      'spec: {extra: {}, network: {podCIDR: 192.168.0.0/16, serviceCIDR: 192.168.128.0/20}}',
      host,
    );
    expect(known.join('\n')).toMatch(/extra.*\n.*overlaps.*\n.*address 192.168.7.20.*\n.*gateway/);
  });

  it('says nothing about the default of a value that is wrong', async () => {
    expect(
      await whysOf('spec: {network: {podCIDR: 10.100.0.0/16, serviceCIDR: 10.0.0.0}}'),
    ).toEqual([expect.stringContaining('spec.network.serviceCIDR: is not an IPv4 network')]);
  });

  it('needs an address that others can reach, once', async () => {
    const offline = { ...smallHost, addresses: [] };
    expect(await whysOf('', offline)).toEqual([
      expect.stringMatching(/^spec.api.address: this machine has no IPv4 address/),
    ]);
    expect(await whysOf('', { ...offline, lastAddress: '192.168.7.20' })).toEqual([]);
    expect(await whysOf('spec: {api: {address: 192.168.7.20}}', offline)).toEqual([]);
  });

  it.each(['127.0.0.1', '0.0.0.0', '169.254.1.1', '239.0.0.1', '255.255.255.255'])(
    'refuses %s as the address of the API',
    async (address) => {
      expect(await whysOf(`spec: {api: {address: ${address}}}`)).toEqual([
        `spec.api.address: ${address} is no address that other machines and pods can reach`,
      ]);
    },
  );

  it('refuses labels that kubelet would not start with', async () => {
    expect(
      await whysOf(
        'spec: {node: {labels: {a/b/c: x, kubernetes.io/role: x, example.com/rack: x, node.kubernetes.io/a: x, topology.kubernetes.io/zone: x}}}',
      ),
    ).toEqual([
      expect.stringContaining('spec.node.labels.a/b/c: is not a label key'),
      expect.stringContaining('spec.node.labels.kubernetes.io/role: is reserved for Kubernetes'),
    ]);
  });
});

describe('nodeAddressOf', () => {
  const eth0 = { interface: 'eth0', address: '192.168.7.20', prefix: 24 };
  const lo = { interface: 'lo', address: '10.255.255.1', prefix: 32 };
  const docker0 = { interface: 'docker0', address: '172.17.0.1', prefix: 16 };
  const bridge = { interface: 'kube-bridge', address: '10.244.0.1', prefix: 24 };

  it.each([
    [[bridge, docker0, lo, eth0], undefined, eth0.address],
    [[bridge, docker0, lo], undefined, lo.address],
    [[bridge, docker0], '192.168.7.20', '192.168.7.20'],
    [[bridge, docker0], undefined, docker0.address],
    [[bridge], undefined, undefined],
  ])('of %j, last %s, is %s', (addresses, lastAddress, expected) => {
    const host = {
      addresses: orderAddresses(addresses, undefined),
      ...(lastAddress === undefined ? {} : { lastAddress }),
    };
    expect(nodeAddressOf(host)).toBe(expected);
  });
});
