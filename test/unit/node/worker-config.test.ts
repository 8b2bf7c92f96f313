import { describe, expect, it } from 'vitest';
import { layerFrom } from '../../../src/config/layers.ts';
import { parseConfig } from '../../../src/config/parse.ts';
import { sharedConfig } from '../../../src/node/shared-config.ts';
import { inspectWorkerConfig } from '../../../src/node/worker-config.ts';

const pem = '-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n';

async function shared(spec: object) {
  const config = sharedConfig(await parseConfig(JSON.stringify({ spec }), 'test'));
  // As it travels.
  return JSON.parse(JSON.stringify(config)) as Record<string, Record<string, unknown>>;
}

async function inspect(cluster: object, own: object, settings = {}) {
  return inspectWorkerConfig({
    document: { config: await shared(cluster) },
    nodeName: 'edge-1',
    settings,
    layers: [layerFrom({ spec: own }, '/etc/mini-k8s/config.yaml:3')],
  });
}

describe('sharedConfig', () => {
  it('says nothing of one machine, and nothing that an older worker would not know', async () => {
    const { spec } = await shared({
      api: { address: '192.168.7.2', sans: ['a.example'] },
      node: { name: 'a', labels: { a: 'b' } },
      proxy: { https: 'http://me:secret@p:1' },
    });
    expect(spec?.['api']).toEqual({
      externalAddress: '',
      gatewayPort: 9443,
      port: 6443,
      sans: [],
    });
    const fields = Object.keys(spec ?? {});
    for (const name of ['node', 'proxy', 'registries', 'kubelet', 'extraArgs']) {
      expect(fields).not.toContain(name);
    }
  });

  it('has what is meant for all nodes, and no name of a file with credentials', async () => {
    const { spec } = await shared({
      kubelet: { maxPods: 20 },
      extraArgs: { kubelet: { v: 4 }, etcd: { 'max-wals': 3 } },
      registries: {
        'docker.io': {
          credentialsFile: '/etc/mini-k8s/hub',
          mirrors: [{ url: 'https://m', ca: pem, credentialsFile: '/etc/mini-k8s/m' }],
        },
      },
    });
    expect(spec).toMatchObject({
      kubelet: { maxPods: 20 },
      extraArgs: { kubelet: { v: 4 } },
      registries: { 'docker.io': { url: '', ca: '', mirrors: [{ url: 'https://m', ca: pem }] } },
    });
    expect(JSON.stringify(spec)).not.toMatch(/max-wals|\/etc\/mini-k8s\/(hub|m)"/);
    const { errors } = await inspect({ kubelet: { maxPods: 20 } }, {});
    expect(errors).toEqual([]);
  });
});

describe('inspectWorkerConfig', () => {
  it('lays what the machine says over what the cluster says, and flags over both', async () => {
    const { config, errors, origins } = await inspect(
      { kubelet: { maxPods: 20, podsPerCore: 5 } },
      {
        kubelet: { maxPods: 10 },
        node: { labels: { a: 'file', b: 'file' }, taints: ['x:NoSchedule'] },
        extraArgs: { kubelet: { v: 2 } },
      },
      { labels: 'a=flag' },
    );
    expect(errors).toEqual([]);
    expect(config.spec.kubelet).toEqual({ maxPods: 10, podsPerCore: 5 });
    expect(config.spec.node).toEqual({
      name: 'edge-1',
      labels: { a: 'flag', b: 'file' },
      taints: ['x:NoSchedule'],
    });
    expect(origins.get('spec.kubelet.maxPods')).toBe('/etc/mini-k8s/config.yaml:3');
    expect(origins.get('spec.kubelet.podsPerCore')).toBe('of the cluster');
    expect(origins.get('spec.node.labels.a')).toBe('of the command line');
  });

  it('refuses what is the cluster’s, unless it says the same', async () => {
    const cluster = { network: { podCIDR: '10.7.0.0/16' } };
    const own = {
      network: { podCIDR: '10.7.0.0/16', serviceCIDR: '10.8.0.0/16' },
      extraArgs: { etcd: { 'max-wals': 3 } },
    };
    const { errors } = await inspect(cluster, own);
    expect(errors.map(({ message }) => message)).toEqual([
      "Cannot use configuration /etc/mini-k8s/config.yaml:3: spec.network.serviceCIDR: is the cluster's, and a worker has it from there",
      "Cannot use configuration /etc/mini-k8s/config.yaml:3: spec.extraArgs.etcd.max-wals: is the cluster's, and a worker has it from there",
    ]);
  });
});
