import { X509Certificate } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import {
  agentIdentity,
  certificateProblem,
  plainAddress,
} from '../../../src/gateway/peer-identity.ts';
import { dayMs, issueLeaf, newAuthority, nowMs, serverSpec } from '../pki/authority.ts';

const authority = newAuthority();
const nodeSpec = {
  ...serverSpec,
  usage: 'client',
  commonName: 'system:node:edge-1',
  organizations: ['system:nodes'],
} as const;

function problemOf(options: { usage?: 'client' | 'server'; atMs?: number; verifyError?: string }) {
  const { usage = 'client', atMs = nowMs, verifyError } = options;
  const { certPem } = issueLeaf(authority, { ...nodeSpec, usage });
  return certificateProblem(new X509Certificate(certPem), { nowMs: atMs, verifyError });
}

describe('a client certificate', () => {
  it('proves its owner while it is valid', () => {
    expect(problemOf({})).toBeUndefined();
  });

  it.each([
    [{ atMs: nowMs + 366 * dayMs }, /CN=system:node:edge-1\) expired at 2027-/],
    [{ atMs: nowMs - dayMs }, /is not valid before 2026-/],
    [{ verifyError: 'DEPTH_ZERO_SELF_SIGNED_CERT' }, /is refused: DEPTH_ZERO/],
    [{ usage: 'server' as const }, /is not for clients/],
  ])('proves nothing with %j', (options, problem) => {
    expect(problemOf(options)).toMatch(problem);
  });
});

describe('agentIdentity', () => {
  const certificate = {
    commonName: 'system:node:edge-1',
    organizations: ['system:nodes'],
    fingerprint: 'ab',
    notAfterMs: 7,
  };

  it('is the node of the certificate and the address of the connection', () => {
    expect(agentIdentity({ remoteAddress: '192.0.2.1', certificate })).toEqual({
      nodeName: 'edge-1',
      fingerprint: 'ab',
      notAfterMs: 7,
      remoteAddress: '192.0.2.1',
    });
  });

  it('is nobody without a certificate, or with that of an operator', () => {
    expect(agentIdentity({ remoteAddress: '192.0.2.1' })).toBeUndefined();
    const operator = { ...certificate, organizations: ['system:masters'] };
    expect(agentIdentity({ remoteAddress: '', certificate: operator })).toBeUndefined();
  });
});

describe('plainAddress', () => {
  it.each([
    ['::ffff:10.0.0.4', '10.0.0.4'],
    ['10.0.0.4', '10.0.0.4'],
    ['fd00::ffff:1', 'fd00::ffff:1'],
    [undefined, ''],
  ])('%s is %s', (address, plain) => {
    expect(plainAddress(address)).toBe(plain);
  });
});
