import { expect, test } from 'vitest';
import { registryFiles, registrySign } from '../../../src/components/containerd-registries.ts';
import { planFor } from '../../support/plan-inputs.ts';

const gateways = {
  servers: ['10.0.0.4:9443', 'edge.example.test:443'],
  caFile: '/var/lib/mini-k8s/pki/ca.crt',
  client: { certFile: '/var/lib/kubelet/pki/kubelet-client-current.pem' },
  arch: 'arm64',
};

test('every gateway is a mirror of every registry, in order, and the registry itself stays the last resort', () => {
  expect(registryFiles({ registries: {}, gateways }).files).toEqual([
    {
      path: '/etc/mini-k8s/registries/_default/hosts.toml',
      mode: 0o600,
      uid: 0,
      gid: 0,
      content: `${registrySign}
[host."https://10.0.0.4:9443"]
capabilities = ["pull", "resolve"]
ca = "/var/lib/mini-k8s/pki/ca.crt"
client = "/var/lib/kubelet/pki/kubelet-client-current.pem"
dial_timeout = "4s"
[host."https://10.0.0.4:9443".header]
mini-k8s-architecture = "arm64"
[host."https://edge.example.test:443"]
capabilities = ["pull", "resolve"]
ca = "/var/lib/mini-k8s/pki/ca.crt"
client = "/var/lib/kubelet/pki/kubelet-client-current.pem"
dial_timeout = "4s"
[host."https://edge.example.test:443".header]
mini-k8s-architecture = "arm64"
`,
    },
  ]);
});

test('without gateways there is no file: containerd asks the registries', () => {
  const nothing = { files: [], credentials: [] };
  expect(registryFiles({ registries: {}, gateways: { ...gateways, servers: [] } })).toEqual(
    nothing,
  );
});

test('a controller is its own mirror, with certificate and key of its kubelet', async () => {
  const { files } = await planFor({ spec: '  api: {gatewayPort: 9555}' });
  const hosts = files.find(({ path }) => path === '/etc/mini-k8s/registries/_default/hosts.toml');
  expect(hosts?.content.split('\n').slice(1)).toEqual([
    '[host."https://127.0.0.1:9555"]',
    'capabilities = ["pull", "resolve"]',
    'ca = "/var/lib/mini-k8s/pki/ca.crt"',
    'client = [["/var/lib/mini-k8s/pki/kubelet-client.crt", "/var/lib/mini-k8s/pki/kubelet-client.key"]]',
    'dial_timeout = "4s"',
    '[host."https://127.0.0.1:9555".header]',
    'mini-k8s-architecture = "amd64"',
    '',
  ]);
});
