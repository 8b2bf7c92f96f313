import { describe, expect, it } from 'vitest';
import { parseJoinDocument } from '../../../src/join/document.ts';
import { newAuthority } from '../pki/authority.ts';

const document = {
  version: 1,
  ca: newAuthority().certificate.toString(),
  apiServers: ['10.0.0.4:6443'],
  gateways: ['edge.example.com:9443', '[fd00::4]:9443'],
  config: { apiVersion: 'mini-k8s.io/v1alpha1', kind: 'ClusterConfig' },
  kubernetesVersion: '1.37.1',
  site: { name: 'nat-203.0.113.7', isBehindNat: true },
  artifacts: [
    {
      name: 'registry.k8s.io/coredns/coredns:v1.14.7',
      repository: 'coredns/coredns',
      digest: `sha256:${'0'.repeat(64)}`,
    },
  ],
};

describe('a join document', () => {
  it('is read without fields that are not known', () => {
    expect(parseJoinDocument({ ...document, novelty: 1 })).toEqual(document);
    expect(parseJoinDocument(JSON.parse(JSON.stringify(document)))).toEqual(document);
  });

  it.each([
    [[], 'it is not a JSON object'],
    [{ ...document, version: 2 }, 'it is of version 2, and this mini-k8s reads version 1'],
    [{ ...document, version: '1' }, 'it is of version unknown'],
    [{ ...document, ca: '' }, 'ca is not the PEM'],
    [{ ...document, apiServers: [] }, 'apiServers is not a list of at least one server'],
    [{ ...document, gateways: ['10.0.0.4'] }, 'gateways has "10.0.0.4", which is not'],
    [{ ...document, config: 'x' }, 'config is not an object'],
    [{ ...document, kubernetesVersion: 'latest' }, 'kubernetesVersion is not a version'],
    [{ ...document, site: { name: 'a b', isBehindNat: false } }, 'site is not a site'],
    [{ ...document, site: { name: 'main' } }, 'site is not a site'],
    [{ ...document, artifacts: {} }, 'artifacts is not a list'],
    [
      {
        ...document,
        artifacts: [...document.artifacts, { ...document.artifacts[0], digest: 'x' }],
      },
      'artifacts has an entry (1) without',
    ],
    [
      { ...document, artifacts: [{ ...document.artifacts[0], repository: '../etc' }] },
      'artifacts has an entry (0) without',
    ],
  ])('names what is wrong with it (%#)', (value, why) => {
    expect(() => parseJoinDocument(value)).toThrow(why);
    expect(() => parseJoinDocument(value)).toThrow(SyntaxError);
  });

  it('may not have a certificate that is no authority', async () => {
    const { issueLeaf } = await import('../pki/authority.ts');
    const { certPem } = issueLeaf(newAuthority());
    expect(() => parseJoinDocument({ ...document, ca: document.ca + certPem })).toThrow(
      'ca is not',
    );
  });
});
