import { describe, expect, it } from 'vitest';
import { layerFrom, mergeLayers, originOf } from '../../../src/config/layers.ts';
import { inspectLayers } from '../../../src/config/parse.ts';
import { readYamlLayer } from '../../../src/config/read-yaml.ts';
import { clusterConfigSchema } from '../../../src/config/schema.ts';
import {
  environmentLayer,
  flagLayer,
  proxyLayer,
  settingVariables,
} from '../../../src/config/settings.ts';

describe('mergeLayers', () => {
  it('merges mappings key by key, replaces everything else, and names the last place', async () => {
    const file = await readYamlLayer(
      'spec:\n  api: { port: 1, sans: [a, b] }\n  node:\n    labels: { rack: r1, size: small }\n',
      'c.yaml',
    );
    const part = await readYamlLayer('spec:\n  api:\n    sans:\n    - c\n', 'c.yaml.d/1.yaml');
    const flags = layerFrom({ spec: { node: { labels: { rack: 'r2' } } } }, '--set');
    const { document, origins } = mergeLayers([file, part, flags]);
    expect(document).toEqual({
      spec: { api: { port: 1, sans: ['c'] }, node: { labels: { rack: 'r2', size: 'small' } } },
    });
    const places = ['api.port', 'api.sans', 'api.sans.0', 'api.sans.1', 'node.labels.rack'];
    expect(places.map((field) => originOf(origins, `spec.${field}`))).toEqual([
      'c.yaml:2',
      'c.yaml.d/1.yaml:3',
      'c.yaml.d/1.yaml:4',
      'c.yaml.d/1.yaml:3',
      '--set',
    ]);
    expect(originOf(origins, 'spec.node.labels.size')).toBe('c.yaml:4');
    expect(originOf(origins, 'metadata.name')).toBeUndefined();
  });

  it('gives a field its default back by null', () => {
    const below = layerFrom({ spec: { api: { port: 1 }, hardening: 'cis' } }, 'below');
    const above = layerFrom({ spec: { api: null, hardening: null } }, 'above');
    const { document, origins } = mergeLayers([below, above]);
    expect(document).toEqual({ spec: {} });
    expect([...origins.keys()]).toEqual(['spec']);
  });

  it('changes no layer', () => {
    const below = layerFrom({ a: { b: 1 } }, 'below');
    mergeLayers([below, layerFrom({ a: { c: 2 } }, 'above')]);
    expect(below.document).toEqual({ a: { b: 1 } });
  });
});

describe('settings by environment and flag', () => {
  async function environment(env: Record<string, string>) {
    return environmentLayer(env, clusterConfigSchema);
  }

  it('have names that follow from the fields, and values of their kinds', async () => {
    const { document, errors, origins } = await environment({
      MINI_K8S_API_PORT: '6444',
      MINI_K8S_API_SANS: 'a.example,b.example',
      MINI_K8S_NETWORK_POD_CIDR: '10.1.0.0/16',
      MINI_K8S_NETWORK_KUBE_PROXY_ENABLED: 'false',
      MINI_K8S_NODE_LABELS: 'example.com/rack=r1,size=',
      MINI_K8S_KUBELET: '{ maxPods: 20 }',
      MINI_K8S_EXTRA_ARGS_KUBE_APISERVER: 'event-ttl=1h,v=4',
      MINI_K8S_HARDENING: '',
      MINI_K8S_TOKEN: 'mk1.secret',
      MINI_K8S_DATA_DIR: '/var/lib/x',
      OTHER: 'x',
    });
    expect(errors).toEqual([]);
    expect(document).toEqual({
      spec: {
        api: { port: 6444, sans: ['a.example', 'b.example'] },
        network: { podCIDR: '10.1.0.0/16', kubeProxy: { enabled: false } },
        node: { labels: { 'example.com/rack': 'r1', size: '' } },
        kubelet: { maxPods: 20 },
        extraArgs: { 'kube-apiserver': { 'event-ttl': '1h', v: '4' } },
      },
    });
    expect(origins.get('spec.api.sans')).toBe('MINI_K8S_API_SANS');
  });

  it('are refused under a name that means nothing, with the nearest one', async () => {
    const { errors } = await environment({ MINI_K8S_API_PROT: '1', MINI_K8S_XYZ_ABC_DEF_G: '1' });
    expect(errors.map(({ message }) => message)).toEqual([
      'Cannot use configuration MINI_K8S_API_PROT: there is no such setting; did you mean MINI_K8S_API_PORT?',
      'Cannot use configuration MINI_K8S_XYZ_ABC_DEF_G: there is no such setting; mini-k8s config variables lists them',
    ]);
  });

  it('are kept for a service, and a token is none of them', () => {
    const env = { MINI_K8S_API_PORT: '1', MINI_K8S_TOKEN: 'x', MINI_K8S_HARDENING: '', PATH: '/' };
    expect(settingVariables(env)).toEqual({ MINI_K8S_API_PORT: '1' });
  });

  it('by --set name a field, with or without spec, and a key with dots', async () => {
    const settings = [
      'api.port=1',
      'spec.api.port=2',
      'metadata.name=greenhouse',
      'node.labels.example.com/rack=r1',
      'extraArgs.kubelet.v=4',
      'kubelet.evictionHard={memory.available: 1Mi}',
      'network.podCIDR=',
    ];
    const { document, errors, origins } = await flagLayer(settings, clusterConfigSchema);
    expect(errors).toEqual([]);
    expect(document).toEqual({
      metadata: { name: 'greenhouse' },
      spec: {
        api: { port: 2 },
        node: { labels: { 'example.com/rack': 'r1' } },
        extraArgs: { kubelet: { v: 4 } },
        kubelet: { evictionHard: { 'memory.available': '1Mi' } },
        network: { podCIDR: '' },
      },
    });
    expect(origins.get('spec.api.port')).toBe('--set spec.api.port');
  });

  it('by --set need a field and a value', async () => {
    const { errors } = await flagLayer(['api.port', '=1'], clusterConfigSchema);
    expect(errors.map(({ message, fix }) => [message, fix])).toEqual([
      ['Cannot use --set: "api.port" is not field=value', 'write it as --set spec.api.port=6444'],
      ['Cannot use --set: "=1" is not field=value', 'write it as --set spec.api.port=6444'],
    ]);
  });

  it('by --set hold no password', async () => {
    const { errors } = await flagLayer(['proxy.https=http://a:b@p:1'], clusterConfigSchema);
    expect(errors.map(({ message }) => message)).toEqual([
      'Cannot use --set proxy.https: there is a password in it, and everybody on this machine sees a command line',
    ]);
  });

  it("take the machine's proxy variables, the lower-case ones first", () => {
    const { document, origins } = proxyLayer({
      HTTPS_PROXY: 'http://a:1',
      https_proxy: 'http://b:2',
      HTTP_PROXY: ' ',
      NO_PROXY: '10.0.0.0/8, .lan',
    });
    expect(document).toEqual({
      spec: { proxy: { https: 'http://b:2', noProxy: ['10.0.0.0/8', '.lan'] } },
    });
    expect(origins.get('spec.proxy.https')).toBe('https_proxy');
  });
});

describe('inspectLayers', () => {
  it('tells ten mistakes of all sources in one run, each with its place', async () => {
    const file = await readYamlLayer(
      `spec:
  api: { port: 0 }
  network: { podCdir: 10.1.0.0/16, clusterDomain: "a b" }
  extraArgs:
    kube-apiserver: { etcd-servers: "http://x", enable-admission-plugins: [PodNodeSelector] }
    kubelett: {}
`,
      'c.yaml',
    );
    const part = await readYamlLayer(
      'spec:\n  kubelet: { port: 1 }\n  registries:\n    "*": { ca: x }\n    a b: {}\n',
      'd.yaml',
    );
    const env = await environmentLayer({ MINI_K8S_API_PROT: '1' }, clusterConfigSchema);
    const flags = await flagLayer(['hardening=max'], clusterConfigSchema);
    const { errors } = await inspectLayers([file, part, env, flags], 'c.yaml');
    const places = errors.map(({ message }) => message.split(': ').slice(0, 2).join(' '));
    expect(places.toSorted()).toEqual(
      [
        'c.yaml:2 spec.api.port',
        'c.yaml:3 spec.network.podCdir',
        'c.yaml:3 spec.network.clusterDomain',
        'c.yaml:5 spec.extraArgs.kube-apiserver.etcd-servers',
        'c.yaml:5 spec.extraArgs.kube-apiserver.enable-admission-plugins',
        'c.yaml:6 spec.extraArgs.kubelett',
        'd.yaml:2 spec.kubelet.port',
        'd.yaml:4 spec.registries.*.ca',
        'd.yaml:5 spec.registries.a b',
        'MINI_K8S_API_PROT there is no such setting; did you mean MINI_K8S_API_PORT?',
        '--set hardening spec.hardening',
      ]
        .map((text) => `Cannot use configuration ${text}`)
        .toSorted(),
    );
  });

  it('judges nothing by defaults that a file it could not read may have changed', async () => {
    const broken = await readYamlLayer('spec: [', 'c.yaml');
    const flags = await flagLayer(['network.serviceCIDR=10.244.0.0/20'], clusterConfigSchema);
    const { errors, wrongPaths } = await inspectLayers([broken, flags], 'c.yaml');
    expect(errors.map(({ what }) => what)).toEqual(
      Array.from({ length: broken.errors.length }, () => 'use configuration c.yaml'),
    );
    expect(wrongPaths).toEqual(['spec']);
  });

  it('names the other field when a default does not go with it', async () => {
    const layer = await readYamlLayer('spec:\n  network:\n    serviceCIDR: 10.244.0.0/20\n', 'c');
    const { errors } = await inspectLayers([layer], 'c');
    expect(errors.map(({ message }) => message)).toEqual([
      'Cannot use configuration c:3: spec.network.podCIDR: 10.244.0.0/16 overlaps spec.network.serviceCIDR 10.244.0.0/20',
    ]);
  });
});
