import { describe, expect, it } from 'vitest';
import { registryFiles } from '../../../src/components/containerd-registries.ts';
import { proxyEnvironment } from '../../../src/components/proxy-environment.ts';
import { parseConfig } from '../../../src/config/parse.ts';
import { redactPlan } from '../../../src/node/redact-plan.ts';
import { flagsOf, jsonFile, planFor } from '../../support/plan-inputs.ts';

const ca = '-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n';
const config = (spec: object) => parseConfig(JSON.stringify({ spec }), 'test');

describe('extraArgs', () => {
  it('take the place of our flags, and come behind the others', async () => {
    const spec = `  extraArgs:
    kube-apiserver: { event-ttl: 1h, v: 4, feature-gates: [A=true, B=false] }
    containerd: { log-level: debug }`;
    const plan = await planFor({ spec });
    const before = await planFor();
    const flags = flagsOf(plan, 'kube-apiserver');
    expect(flags.get('event-ttl')).toBe('1h');
    expect(flags.get('v')).toBe('4');
    expect(flags.get('feature-gates')).toBe('A=true,B=false');
    expect(flagsOf(before, 'kube-apiserver').get('event-ttl')).toBe('30m');
    expect(flags.size).toBe(flagsOf(before, 'kube-apiserver').size + 2);
    const containerd = plan.processes.find(({ name }) => name === 'containerd');
    expect(containerd?.args.slice(-1)).toEqual(['--log-level=debug']);
    expect(plan.processes.find(({ name }) => name === 'etcd')).toEqual(
      before.processes.find(({ name }) => name === 'etcd'),
    );
  });
});

describe('kubelet', () => {
  it('has the fields of the user over ours, deep down', async () => {
    const plan = await planFor({
      spec: '  kubelet: { maxPods: 20, evictionHard: { nodefs.available: 5% } }',
    });
    const file = jsonFile(plan, 'kubelet.json') as Record<string, unknown>;
    expect(file).toMatchObject({
      maxPods: 20,
      evictionHard: { 'memory.available': '50Mi', 'nodefs.available': '5%' },
    });
  });
});

describe('registries', () => {
  const nothing = { url: '', ca: '', credentialsFile: '', mirrors: [] };

  it('become a directory each, with mirrors, CA and a reference to the credentials', () => {
    const { files, credentials } = registryFiles({
      gateways: { servers: [], caFile: '', client: { certFile: '' }, arch: 'amd64' },
      registries: {
        'registry.lan:5000': {
          url: 'http://registry.lan:5000',
          ca: '',
          credentialsFile: '/etc/mini-k8s/lan',
          mirrors: [
            { url: 'https://a.example/v2', ca, credentialsFile: '' },
            { url: 'https://b.example', ca: '', credentialsFile: '/etc/mini-k8s/b' },
          ],
        },
        'quay.io': nothing,
      },
    });
    expect(credentials).toEqual([
      { name: 'registry-1', file: '/etc/mini-k8s/lan' },
      { name: 'registry-1-mirror-1', file: '/etc/mini-k8s/b' },
    ]);
    expect(files.map(({ path, mode }) => [path, mode])).toEqual([
      ['/etc/mini-k8s/registries/registry.lan:5000/hosts.toml', 0o600],
      ['/etc/mini-k8s/registries/registry.lan:5000/mini-k8s-ca-registry-1-mirror-0.crt', 0o600],
    ]);
    expect(files[0]?.content).toBe(
      [
        '# Written by mini-k8s from spec.registries, which replaces it.',
        'server = "http://registry.lan:5000"',
        '[header]',
        'Authorization = "$' + '{secret:registry-1}"',
        '[host."https://a.example/v2"]',
        'capabilities = ["pull", "resolve"]',
        'ca = "/etc/mini-k8s/registries/registry.lan:5000/mini-k8s-ca-registry-1-mirror-0.crt"',
        '[host."https://b.example"]',
        'capabilities = ["pull", "resolve"]',
        '[host."https://b.example".header]',
        'Authorization = "$' + '{secret:registry-1-mirror-1}"',
        '',
      ].join('\n'),
    );
    expect(files[1]?.content).toBe(ca);
  });

  it('have the controllers before their own mirrors on a worker', () => {
    const gateways = {
      servers: ['10.0.0.4:9443'],
      caFile: '/ca.crt',
      client: { certFile: '/client.pem' },
      arch: 'amd64',
    };
    const mirrors = [{ url: 'https://a.example', ca: '', credentialsFile: '' }];
    const registries = { 'docker.io': { ...nothing, mirrors }, '*': { ...nothing, mirrors } };
    const { files } = registryFiles({ gateways, registries });
    expect(files.map(({ path }) => path)).toEqual([
      '/etc/mini-k8s/registries/_default/hosts.toml',
      '/etc/mini-k8s/registries/docker.io/hosts.toml',
    ]);
    for (const { content } of files) {
      const hosts = [...content.matchAll(/^\[host\."(.*)"\]$/gm)].map((match) => match[1]);
      expect(hosts).toEqual(['https://10.0.0.4:9443', 'https://a.example']);
    }
  });

  it('show nothing of a mirror or a file in a printed plan', async () => {
    const plan = await planFor({
      spec: '  registries: { docker.io: { credentialsFile: /etc/mini-k8s/hub } }',
    });
    expect(plan.credentials).toEqual([{ name: 'registry-1', file: '/etc/mini-k8s/hub' }]);
    const shown = redactPlan(plan).files.find(({ path }) => path.includes('docker.io'));
    expect(shown?.content).toMatch(/^<\d+ characters, mode 0600>$/);
  });
});

describe('the proxy of containerd', () => {
  it('is none when none is set', async () => {
    expect(proxyEnvironment(await config({ proxy: { noProxy: ['a'] } }))).toEqual({});
  });

  it('leaves out what the cluster has itself, and hides an address with a password', async () => {
    const proxy = { http: 'http://p:1', https: 'http://me:secret@p:2', noProxy: ['.lan'] };
    const env = proxyEnvironment(await config({ proxy }));
    expect(env).toEqual({
      HTTP_PROXY: 'http://p:1',
      HTTPS_PROXY: '$' + '{secret:https-proxy}',
      NO_PROXY: '.lan,localhost,127.0.0.0/8,10.244.0.0/16,10.96.0.0/12,.svc,.cluster.local',
    });
    const plan = await planFor({ spec: `  proxy: ${JSON.stringify(proxy)}` });
    expect(plan.processes.find(({ name }) => name === 'containerd')?.env).toMatchObject(env);
    expect(JSON.stringify(redactPlan(plan))).not.toContain('me:secret');
  });
});
