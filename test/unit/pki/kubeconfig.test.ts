import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { renderKubeconfig } from '../../../src/pki/kubeconfig.ts';

const withFiles = {
  server: 'https://127.0.0.1:6443',
  caFile: '/var/lib/mini-k8s/pki/ca.crt',
  certFile: '/var/lib/mini-k8s/pki/scheduler.crt',
  keyFile: '/var/lib/mini-k8s/pki/scheduler.key',
  userName: 'system:kube-scheduler',
};

describe('renderKubeconfig', () => {
  it('points at certificate files', () => {
    expect(renderKubeconfig(withFiles)).toBe(`apiVersion: v1
kind: Config
clusters:
- name: "mini-k8s"
  cluster:
    server: "https://127.0.0.1:6443"
    certificate-authority: "/var/lib/mini-k8s/pki/ca.crt"
users:
- name: "system:kube-scheduler"
  user:
    client-certificate: "/var/lib/mini-k8s/pki/scheduler.crt"
    client-key: "/var/lib/mini-k8s/pki/scheduler.key"
contexts:
- name: "system:kube-scheduler@mini-k8s"
  context:
    cluster: "mini-k8s"
    user: "system:kube-scheduler"
current-context: "system:kube-scheduler@mini-k8s"
`);
  });

  it('embeds PEM as base64, with the names that were asked for', () => {
    const text = renderKubeconfig({
      server: 'https://203.0.113.5:6443',
      caData: 'CA PEM',
      certData: 'CERT PEM',
      keyData: 'KEY PEM',
      userName: 'admin',
      clusterName: 'edge',
      contextName: 'edge-admin',
      tlsServerName: 'kubernetes',
    });
    expect(parse(text)).toEqual({
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [
        {
          name: 'edge',
          cluster: {
            server: 'https://203.0.113.5:6443',
            'tls-server-name': 'kubernetes',
            'certificate-authority-data': btoa('CA PEM'),
          },
        },
      ],
      users: [
        {
          name: 'admin',
          user: {
            'client-certificate-data': btoa('CERT PEM'),
            'client-key-data': btoa('KEY PEM'),
          },
        },
      ],
      contexts: [{ name: 'edge-admin', context: { cluster: 'edge', user: 'admin' } }],
      'current-context': 'edge-admin',
    });
  });

  it('carries a bearer token for the bootstrap of a node', () => {
    const { certFile: _cert, keyFile: _key, ...rest } = withFiles;
    const config = parse(renderKubeconfig({ ...rest, token: 'abcdef.0123456789abcdef' }));
    expect(config.users[0].user).toEqual({ token: 'abcdef.0123456789abcdef' });
  });

  it('is YAML that gives back any name', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), (userName) => {
        const config = parse(renderKubeconfig({ ...withFiles, userName }));
        expect(config.users[0].name).toBe(userName);
      }),
    );
  });
});
