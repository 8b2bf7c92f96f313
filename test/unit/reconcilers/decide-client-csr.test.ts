import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { CertificateRequest } from '../../../src/pki/certificate-request.ts';
import {
  type ClientCsrFacts,
  decideClientCsr,
} from '../../../src/reconcilers/decide-client-csr.ts';
import type { CsrObject } from '../../../src/reconcilers/resources.ts';
import { changeSpec, csrWith, kubeletRequest } from './kubelet-request.ts';

const now = Date.parse('2026-11-21T10:00:00Z');
const first = csrWith({
  signerName: 'kubernetes.io/kube-apiserver-client-kubelet',
  username: 'system:bootstrap:abcdef',
  groups: ['system:bootstrappers', 'system:bootstrappers:mini-k8s:worker'],
  usages: ['digital signature', 'client auth'],
});
const renewal = changeSpec(first, { username: 'system:node:edge-1', groups: ['system:nodes'] });
const record = { tokenId: 'abcdef', joinedAtMs: now - 60_000, isRemoved: false };
const facts: ClientCsrFacts = {
  request: kubeletRequest,
  record,
  hasNode: true,
  isControllerNode: false,
  now,
};
const asking = (change: Partial<CertificateRequest>): ClientCsrFacts => ({
  ...facts,
  request: { ...kubeletRequest, ...change },
});
const named = (name: string) => asking({ commonName: `system:node:${name}` });

describe('decideClientCsr', () => {
  it("approves a worker's first certificate, before there is a Node", () => {
    expect(decideClientCsr(first, { ...facts, hasNode: false })).toMatchObject({
      decision: 'approve',
      reason: 'NodeJoined',
    });
  });

  it('approves a renewal however long ago the node joined', () => {
    const old = { ...facts, record: { ...record, joinedAtMs: 0 } };
    expect(decideClientCsr(renewal, old)).toMatchObject({ decision: 'approve' });
  });

  it("approves a renewal of a controller's own kubelet, which never joined", () => {
    const own = { ...facts, record: undefined, isControllerNode: true };
    expect(decideClientCsr(renewal, own)).toMatchObject({ decision: 'approve' });
  });

  for (const [kind, csr] of [
    ['first', first],
    ['renewal', renewal],
  ] as const) {
    it.each<[string, CsrObject, ClientCsrFacts]>([
      ['Malformed', csr, { ...facts, request: { malformed: 'not DER' } }],
      ['InvalidSignature', csr, asking({ isSignatureValid: false })],
      ['SubjectMismatch', csr, asking({ commonName: 'kubernetes-admin' })],
      ['SubjectMismatch', csr, asking({ commonName: '' })],
      ['SubjectMismatch', csr, named('')],
      ['SubjectMismatch', csr, named('Edge_1')],
      ['SubjectMismatch', csr, named('a/b')],
      ['SubjectMismatch', csr, named('192.168.1.7')],
      ['SubjectMismatch', csr, asking({ organizations: ['system:nodes', 'system:masters'] })],
      ['SubjectMismatch', csr, asking({ organizations: ['system:masters'] })],
      ['SubjectMismatch', csr, asking({ organizations: [] })],
      ['SubjectMismatch', csr, asking({ otherSubjectAttributes: ['2.5.4.5'] })],
      ['ReservedName', csr, named('gateway.mini-k8s.internal')],
      ['ReservedName', csr, named('mini-k8s.internal')],
      ['WeakKey', csr, asking({ keyType: 'RSA', keyBits: 1024 })],
      ['InvalidUsages', changeSpec(csr, { usages: ['digital signature'] }), facts],
      ['InvalidUsages', changeSpec(csr, { usages: ['client auth', 'server auth'] }), facts],
      ['InvalidUsages', changeSpec(csr, { usages: ['client auth', 'cert sign'] }), facts],
      ['LifetimeTooLong', changeSpec(csr, { expirationSeconds: 400 * 86_400 }), facts],
      ['InvalidNames', csr, asking({ dnsNames: ['edge-1'] })],
      ['InvalidNames', csr, asking({ ipAddresses: ['10.0.0.4'] })],
      ['InvalidNames', csr, asking({ emailAddresses: ['a@b'] })],
      ['InvalidNames', csr, asking({ uris: ['spiffe://a'] })],
      ['InvalidNames', csr, asking({ otherNameCount: 1 })],
    ])(`denies a ${kind} certificate: %s`, (reason, object, known) => {
      expect(decideClientCsr(object, known)).toMatchObject({ decision: 'deny', reason });
    });
  }

  it.each<[string, CsrObject, ClientCsrFacts]>([
    ['ControllerName', first, { ...facts, record: undefined, isControllerNode: true }],
    ['ControllerName', first, { ...facts, isControllerNode: true }],
    ['SubjectMismatch', renewal, named('edge-2')],
  ])('denies: %s', (reason, csr, known) => {
    expect(decideClientCsr(csr, known)).toMatchObject({ decision: 'deny', reason });
  });

  it.each<[string, CsrObject, ClientCsrFacts]>([
    ['NotJoined', first, { ...facts, record: undefined }],
    ['NodeRemoved', first, { ...facts, record: { ...record, isRemoved: true } }],
    ['JoinTooOld', first, { ...facts, record: { ...record, joinedAtMs: now - 25 * 3_600_000 } }],
    ['JoinTooOld', first, { ...facts, record: { ...record, joinedAtMs: Number.NaN } }],
    ['NotAWorker', changeSpec(first, { groups: ['system:bootstrappers'] }), facts],
    ['NotAWorker', changeSpec(first, { username: 'kubernetes-admin' }), facts],
    ['NotJoined', renewal, { ...facts, record: undefined }],
    ['NodeRemoved', renewal, { ...facts, record: { ...record, isRemoved: true } }],
    ['NodeNotFound', renewal, { ...facts, hasNode: false }],
  ])('leaves pending: %s', (reason, csr, known) => {
    expect(decideClientCsr(csr, known)).toMatchObject({ decision: 'pending', reason });
  });

  it('takes away a request with a token that is not that of the last join: the machine asks again', () => {
    const other = { ...facts, record: { ...record, tokenId: 'zzzzzz', isRemoved: true } };
    expect(decideClientCsr(first, other)).toMatchObject({ decision: 'delete' });
  });

  it('never approves a name that is not tied to the requester', () => {
    const name = fc.constantFrom('edge-1', 'edge-2', 'box', 'x.mini-k8s.internal', '');
    const token = fc.constantFrom('abcdef', 'ghijkl');
    const records = fc.option(
      fc.record({
        tokenId: token,
        joinedAtMs: fc.integer({ min: 0, max: now }),
        isRemoved: fc.boolean(),
      }),
      { nil: undefined },
    );
    const username = fc.oneof(
      token.map((id) => `system:bootstrap:${id}`),
      name.map((node) => `system:node:${node}`),
    );
    const groups = fc.subarray(['system:nodes', 'system:bootstrappers:mini-k8s:worker']);
    fc.assert(
      fc.property(
        username,
        groups,
        name,
        records,
        fc.boolean(),
        (user, member, asked, known, own) => {
          const csr = changeSpec(first, { username: user, groups: member });
          const decision = decideClientCsr(csr, {
            ...named(asked),
            record: known,
            isControllerNode: own,
          });
          if (decision.decision !== 'approve') return;
          expect(asked).not.toMatch(/internal|^$/);
          expect(known?.isRemoved).not.toBe(true);
          if (user === `system:node:${asked}`) return;
          expect(user).toBe(`system:bootstrap:${known?.tokenId}`);
          expect(own).toBe(false);
        },
      ),
      { numRuns: 3000 },
    );
  });
});
