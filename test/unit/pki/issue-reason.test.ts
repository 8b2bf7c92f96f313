import { X509Certificate } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { type Authority, buildAuthorityCertificate } from '../../../src/pki/certificate-builder.ts';
import { issueReasonFor, type LeafFiles } from '../../../src/pki/issue-reason.ts';
import { renderPem } from '../../../src/pki/pem.ts';
import type { CertificateSpec } from '../../../src/pki/types.ts';
import { dayMs, issueLeaf, newAuthority, nowMs, serverSpec } from './authority.ts';

const authority = newAuthority();
const files = issueLeaf(authority);

interface Question {
  readonly spec?: Partial<CertificateSpec>;
  readonly files?: Partial<LeafFiles>;
  readonly authority?: Authority;
  readonly nowMs?: number;
}

function reason(question: Question) {
  return issueReasonFor(
    { ...serverSpec, ...question.spec },
    { ...files, ...question.files },
    { authority, nowMs, ...question },
  );
}

describe('issueReasonFor', () => {
  it('leaves a good leaf alone', () => {
    expect(reason({})).toBeUndefined();
    expect(reason({ spec: { ipAddresses: ['FD00:0::1', '127.0.0.1', '10.96.0.1'] } })).toBe(
      undefined,
    );
  });

  it.each<[string, Question, string]>([
    ['no certificate', { files: { certPem: undefined } }, 'missing'],
    ['no key', { files: { keyPem: undefined } }, 'missing'],
    ['an empty certificate', { files: { certPem: '' } }, 'unreadable'],
    ['half a certificate', { files: { certPem: files.certPem.slice(0, 300) } }, 'unreadable'],
    ['half a key', { files: { keyPem: files.keyPem.slice(0, 60) } }, 'unreadable'],
    ['the key of another', { files: { keyPem: issueLeaf(authority).keyPem } }, 'key-mismatch'],
    ['another authority', { authority: newAuthority() }, 'authority-changed'],
    ['another authority name', { authority: newAuthority('other') }, 'authority-changed'],
    ['a chain wanted', { spec: { includeAuthority: true } }, 'authority-changed'],
    ['another usage', { spec: { usage: 'client' } }, 'usage-changed'],
    ['another name', { spec: { commonName: 'apiserver' } }, 'subject-changed'],
    ['a group more', { spec: { organizations: ['system:masters'] } }, 'subject-changed'],
    ['a DNS name less', { spec: { dnsNames: ['kubernetes'] } }, 'sans-changed'],
    ['an address more', { spec: { ipAddresses: ['10.96.0.1', '::2'] } }, 'sans-changed'],
    ['no names', { spec: { ipAddresses: [], dnsNames: [] } }, 'sans-changed'],
    ['the last third', { nowMs: nowMs + 244 * dayMs }, 'expiring'],
    ['the end', { nowMs: nowMs + 400 * dayMs }, 'expiring'],
  ])('%s: issue', (_what, question, expected) => {
    expect(reason(question)).toBe(expected);
  });

  it('waits until two thirds of the life are over', () => {
    expect(reason({ nowMs: nowMs + 243 * dayMs })).toBeUndefined();
  });

  it('issues again what was made while the clock was ahead, not when the clock is behind', () => {
    const ahead = issueLeaf(authority, serverSpec, nowMs + 100 * dayMs);
    expect(reason({ files: ahead })).toBe('not-yet-valid');
    expect(reason({ files: ahead, nowMs: 0 })).toBeUndefined();
    expect(reason({ nowMs: 0 })).toBeUndefined();
  });

  it('issues again what the authority did not sign, or signed under another name', () => {
    const der = new X509Certificate(files.certPem).raw;
    der.writeUInt8(der.readUInt8(der.length - 1) ^ 1, der.length - 1);
    const certPem = renderPem('CERTIFICATE', der);
    expect(reason({ files: { certPem } })).toBe('authority-changed');
    const { privateKey } = authority;
    const pem = buildAuthorityCertificate({ commonName: 'x', ttlDays: 9, privateKey, nowMs });
    const renamed = { certificate: new X509Certificate(pem), privateKey };
    expect(reason({ authority: renamed })).toBe('authority-changed');
  });

  it('wants the present certificate of the authority at the end of a chain', () => {
    const spec = { includeAuthority: true };
    const chain = (last: Authority) => ({
      certPem: files.certPem + last.certificate.toString(),
    });
    expect(reason({ spec, files: chain(authority) })).toBeUndefined();
    expect(reason({ spec, files: chain(newAuthority()) })).toBe('authority-changed');
    expect(reason({ files: chain(authority) })).toBe('authority-changed');
  });
});
