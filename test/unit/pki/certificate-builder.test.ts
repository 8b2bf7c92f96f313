import { X509Certificate } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { buildAuthorityCertificate } from '../../../src/pki/certificate-builder.ts';
import { commonNameOf, spkiPin, subjectValues } from '../../../src/pki/certificate-reader.ts';
import { dayMs, issueLeaf, newAuthority, newKey, nowMs, serverSpec } from './authority.ts';

describe('certificate builder', () => {
  it('makes an authority that is backdated five minutes and lives as long as asked', () => {
    const { certificate } = newAuthority();
    expect(certificate.ca).toBe(true);
    expect(certificate.validFromDate.getTime()).toBe(nowMs - 5 * 60_000);
    expect(certificate.validToDate.getTime()).toBe(nowMs + 3650 * dayMs);
    expect(certificate.verify(certificate.publicKey)).toBe(true);
  });

  it('makes a leaf with exactly one purpose and every name', () => {
    const authority = newAuthority();
    const leaf = new X509Certificate(issueLeaf(authority).certPem);
    expect(leaf.ca).toBe(false);
    expect(leaf.keyUsage).toEqual(['1.3.6.1.5.5.7.3.1']);
    expect(leaf.checkIssued(authority.certificate)).toBe(true);
    expect(leaf.verify(authority.certificate.publicKey)).toBe(true);
    for (const ip of serverSpec.ipAddresses) expect(leaf.checkIP(ip)).toBe(ip);
    expect(leaf.checkHost('kubernetes')).toBe('kubernetes');
    expect(leaf.checkHost('a.edge.example')).toBe('*.edge.example');
    expect(leaf.checkHost('a.other.example')).toBeUndefined();
  });

  it('keeps organizations and unusual names as they are', () => {
    const organizations = ['system:masters', 'Käse, GmbH = "x"\n+y'];
    const spec = { ...serverSpec, usage: 'client' as const, commonName: 'ädmin/1', organizations };
    const leaf = new X509Certificate(issueLeaf(newAuthority(), spec).certPem);
    expect(commonNameOf(leaf)).toBe('ädmin/1');
    expect(subjectValues(leaf, 'O')).toEqual(organizations);
    expect(leaf.keyUsage).toEqual(['1.3.6.1.5.5.7.3.2']);
  });

  it('has no subject alternative names when none are asked for, and none twice', () => {
    const authority = newAuthority();
    const none = { ...serverSpec, dnsNames: [], ipAddresses: [] };
    const twice = { ...none, dnsNames: ['a', 'a'], ipAddresses: ['::1', '0:0:0:0:0:0:0:1'] };
    const certificate = (spec: typeof serverSpec) =>
      new X509Certificate(issueLeaf(authority, spec).certPem);
    expect(certificate(none).subjectAltName).toBeUndefined();
    expect(certificate(twice).subjectAltName?.split(', ')).toHaveLength(2);
  });

  it('never outlives its authority', () => {
    const authority = newAuthority();
    const late = nowMs + 3600 * dayMs;
    const leaf = new X509Certificate(issueLeaf(authority, serverSpec, late).certPem);
    expect(leaf.validToDate).toEqual(authority.certificate.validToDate);
  });

  it('keeps serial numbers positive, unpadded and different', () => {
    const authority = newAuthority();
    const serials = Array.from({ length: 600 }, () => {
      return new X509Certificate(issueLeaf(authority).certPem).serialNumber;
    });
    expect(new Set(serials).size).toBe(serials.length);
    for (const serial of serials) expect(serial).toMatch(/^(0[1-9A-F]|[1-7][0-9A-F])[0-9A-F]{30}$/);
  });

  it('verifies old leaves with an authority made again from the same key, and keeps its pin', () => {
    const authority = newAuthority();
    const leaf = new X509Certificate(issueLeaf(authority).certPem);
    const again = buildAuthorityCertificate({
      commonName: 'kubernetes-ca',
      ttlDays: 3650,
      privateKey: authority.privateKey,
      nowMs: nowMs + dayMs,
    });
    expect(leaf.checkIssued(new X509Certificate(again))).toBe(true);
    expect(spkiPin(again)).toBe(spkiPin(authority.certificate.toString()));
    expect(new X509Certificate(again).serialNumber).not.toBe(authority.certificate.serialNumber);
  });

  it('does not take a leaf for one of an authority with the same name and another key', () => {
    const leaf = new X509Certificate(issueLeaf(newAuthority()).certPem);
    expect(leaf.checkIssued(newAuthority().certificate)).toBe(false);
  });
});

describe('spkiPin', () => {
  it('differs by key', () => {
    const build = () =>
      buildAuthorityCertificate({ commonName: 'x', ttlDays: 1, privateKey: newKey(), nowMs });
    expect(spkiPin(build())).toMatch(/^[0-9a-f]{64}$/);
    expect(spkiPin(build())).not.toBe(spkiPin(build()));
  });

  it('refuses text without a certificate', () => {
    expect(() => spkiPin('nonsense')).toThrow('Cannot compute the pin of a certificate');
  });
});
