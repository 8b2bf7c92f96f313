import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { CertificateRequest } from '../../../src/pki/certificate-request.ts';
import { type CsrPurpose, purposeOf } from '../../../src/reconcilers/csr-checks.ts';
import { type CsrFacts, decideCsr } from '../../../src/reconcilers/decide-csr.ts';
import type { CsrObject, NodeObject } from '../../../src/reconcilers/resources.ts';
import { changeSpec, csrWith, kubeletRequest } from './kubelet-request.ts';

const csr = csrWith({
  signerName: 'kubernetes.io/kubelet-serving',
  username: 'system:node:edge-1',
  groups: ['system:nodes', 'system:authenticated'],
  usages: ['digital signature', 'server auth'],
});
const request = { ...kubeletRequest, dnsNames: ['edge-1'], ipAddresses: ['10.0.0.4'] };
const node: NodeObject = {
  apiVersion: 'v1',
  kind: 'Node',
  metadata: { name: 'edge-1', creationTimestamp: '2026-11-21T09:00:00Z' },
  status: {
    addresses: [
      { type: 'InternalIP', address: '10.0.0.4' },
      { type: 'Hostname', address: 'edge-1' },
    ],
  },
};
const facts: CsrFacts = {
  request,
  node,
  allowedAddresses: ['10.0.0.4'],
  isLocalNode: false,
  controllerAddresses: ['10.0.0.2'],
  podCIDR: '10.244.0.0/16',
  serviceCIDR: '10.96.0.0/12',
};
const withSpec = (spec: Partial<CsrObject['spec']>) => changeSpec(csr, spec);
const withRequest = (change: Partial<CertificateRequest>): CsrFacts => ({
  ...facts,
  request: { ...request, ...change },
});
/** The node claims the address in its status, as a compromised kubelet can. */
const claiming = (address: string): CsrFacts => ({
  ...withRequest({ ipAddresses: [address] }),
  allowedAddresses: [address],
  node: { ...node, status: { addresses: [{ type: 'InternalIP', address }] } },
});

describe('decideCsr', () => {
  it('approves what a kubelet really asks for', () => {
    expect(decideCsr(csr, facts)).toMatchObject({ decision: 'approve' });
    const usages = ['digital signature', 'key encipherment', 'server auth'];
    const rsa = withRequest({ keyType: 'RSA', keyBits: 2048 });
    expect(decideCsr(withSpec({ usages }), rsa)).toMatchObject({ decision: 'approve' });
  });

  it("approves a controller's address for the controller's own node only", () => {
    const own = claiming('10.0.0.2');
    expect(decideCsr(csr, own)).toMatchObject({ decision: 'deny', reason: 'ForeignAddress' });
    expect(decideCsr(csr, { ...own, isLocalNode: true })).toMatchObject({ decision: 'approve' });
  });

  it.each<[string, CsrObject, CsrFacts]>([
    ['Malformed', csr, { ...facts, request: { malformed: 'not DER' } }],
    ['InvalidSignature', csr, withRequest({ isSignatureValid: false })],
    ['SubjectMismatch', csr, withRequest({ commonName: 'system:node:edge-2' })],
    ['SubjectMismatch', csr, withRequest({ organizations: ['system:nodes', 'system:masters'] })],
    ['SubjectMismatch', csr, withRequest({ organizations: [] })],
    ['SubjectMismatch', csr, withRequest({ otherSubjectAttributes: ['2.5.4.5'] })],
    ['WeakKey', csr, withRequest({ keyType: 'RSA', keyBits: 1024 })],
    ['WeakKey', csr, withRequest({ keyType: 'other', keyBits: 0 })],
    ['InvalidUsages', withSpec({ usages: ['digital signature', 'client auth'] }), facts],
    ['InvalidUsages', withSpec({ usages: ['server auth', 'client auth'] }), facts],
    ['InvalidUsages', withSpec({ usages: ['digital signature'] }), facts],
    ['LifetimeTooLong', withSpec({ expirationSeconds: 400 * 86_400 }), facts],
    ['InvalidNames', csr, withRequest({ emailAddresses: ['a@b'] })],
    ['InvalidNames', csr, withRequest({ uris: ['spiffe://a'] })],
    ['InvalidNames', csr, withRequest({ otherNameCount: 1 })],
    ['InvalidNames', csr, withRequest({ dnsNames: [], ipAddresses: [] })],
    ['ForeignName', csr, withRequest({ dnsNames: ['edge-1', 'edge-2'] })],
    ['ForeignName', csr, withRequest({ dnsNames: ['kubernetes.default.svc'] })],
    ['ForeignName', csr, withRequest({ dnsNames: ['*.edge-1'] })],
    [
      'ReservedName',
      withSpec({ username: 'system:node:gateway.mini-k8s.internal' }),
      withRequest({ commonName: 'system:node:gateway.mini-k8s.internal' }),
    ],
    ['ForeignAddress', csr, claiming('127.0.0.1')],
    ['ForeignAddress', csr, claiming('169.254.169.254')],
    ['ForeignAddress', csr, claiming('10.244.3.4')],
    ['ForeignAddress', csr, claiming('10.96.0.1')],
    ['ForeignAddress', csr, claiming('10.0.0.2')],
    ['ForeignAddress', csr, claiming('::1')],
  ])('denies: %s', (reason, object, known) => {
    expect(decideCsr(object, known)).toMatchObject({ decision: 'deny', reason });
  });

  it.each<[string, CsrObject, CsrFacts]>([
    ['NotANode', withSpec({ username: 'kubernetes-admin' }), facts],
    ['NotANode', withSpec({ groups: ['system:authenticated'] }), facts],
    ['NodeNotFound', csr, { ...facts, node: undefined }],
    [
      'NodeDeleting',
      csr,
      { ...facts, node: { ...node, metadata: { ...node.metadata, deletionTimestamp: 'x' } } },
    ],
    [
      'OlderThanNode',
      csr,
      {
        ...facts,
        node: {
          ...node,
          metadata: { name: 'edge-1', creationTimestamp: '2026-11-21T10:03:00Z' },
        },
      },
    ],
    ['AddressNotReported', csr, { ...facts, node: { ...node, status: {} } }],
    ['AddressNotKnown', csr, { ...facts, allowedAddresses: [] }],
    ['AddressNotKnown', csr, { ...facts, allowedAddresses: undefined }],
  ])('leaves pending: %s', (reason, object, known) => {
    expect(decideCsr(object, known)).toMatchObject({ decision: 'pending', reason });
  });

  it('never approves a name or an address that is not both reported and known', () => {
    const address = fc.oneof(fc.ipV4(), fc.constantFrom('10.0.0.4', '10.0.0.5', '127.0.0.1'));
    const name = fc.oneof(fc.domain(), fc.constantFrom('edge-1', 'edge-2'));
    const addresses = fc.array(address, { maxLength: 3 });
    fc.assert(
      fc.property(
        fc.record({ dnsNames: fc.array(name, { maxLength: 3 }), ipAddresses: addresses }),
        addresses,
        addresses,
        (names, reported, known) => {
          const status = {
            addresses: reported.map((entry) => ({ type: 'InternalIP', address: entry })),
          };
          const decision = decideCsr(csr, {
            ...withRequest(names),
            node: { ...node, status },
            allowedAddresses: known,
          });
          if (decision.decision !== 'approve') return;
          expect(names.dnsNames.every((dns) => dns === 'edge-1')).toBe(true);
          expect(names.ipAddresses.every((ip) => reported.includes(ip) && known.includes(ip))).toBe(
            true,
          );
          expect(names.ipAddresses.some((ip) => ip.startsWith('127.'))).toBe(false);
        },
      ),
    );
  });
});

describe('purposeOf', () => {
  const client = { signerName: 'kubernetes.io/kube-apiserver-client-kubelet' };
  const token = {
    username: 'system:bootstrap:abcdef',
    groups: ['system:bootstrappers', 'system:bootstrappers:mini-k8s:worker'],
  };
  it.each<[CsrPurpose | undefined, string, CsrObject]>([
    ['serving', "a kubelet's serving certificate", csr],
    ['renewal', "a kubelet's client certificate", withSpec(client)],
    ['bootstrap', "a worker's first", withSpec({ ...client, ...token })],
    [undefined, 'a serving certificate with a token', withSpec(token)],
    [
      undefined,
      "a token of somebody else's",
      withSpec({ ...client, ...token, groups: ['system:bootstrappers'] }),
    ],
    [
      undefined,
      "a controller's token",
      withSpec({ ...client, ...token, groups: ['system:bootstrappers:mini-k8s:controller'] }),
    ],
    [undefined, 'a person', withSpec({ ...client, username: 'kubernetes-admin' })],
    [undefined, 'another signer', withSpec({ signerName: 'kubernetes.io/kube-apiserver-client' })],
    [
      undefined,
      'approved',
      { ...csr, status: { conditions: [{ type: 'Approved', status: 'True' }] } },
    ],
    [undefined, 'denied', { ...csr, status: { conditions: [{ type: 'Denied', status: 'True' }] } }],
    [undefined, 'issued', { ...csr, status: { certificate: 'LS0t' } }],
  ])('%s: %s', (expected, _name, object) => expect(purposeOf(object)).toBe(expected));
});
