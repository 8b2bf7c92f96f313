import { describe, expect, it } from 'vitest';
import { readJoinRequest } from '../../../src/join/join-request.ts';
import { nodeNameOf } from '../../../src/join/node-name.ts';
import { siteOf } from '../../../src/join/site.ts';
import { machineA, requestOf } from './machines.ts';

const good = requestOf(machineA);

describe('what a machine says about itself', () => {
  it('is taken over, without fields that are not known', () => {
    expect(readJoinRequest({ ...good, isAdmin: true })).toEqual({ request: good });
  });

  it.each([
    [null, 'not a JSON object'],
    [[], 'not a JSON object'],
    ['x', 'not a JSON object'],
    [{ ...good, nodeName: undefined }, 'nodeName is missing'],
    [{ ...good, nodeName: 'Edge_1' }, 'nodeName is not a node name'],
    [{ ...good, nodeName: '-a' }, 'nodeName is not a node name'],
    [{ ...good, nodeName: 'a'.repeat(64) }, 'nodeName is longer than 63'],
    [{ ...good, nodeName: 'gateway.mini-k8s.internal' }, 'nodeName ends with .mini-k8s.internal'],
    [{ ...good, nodeName: 'mini-k8s.internal' }, 'nodeName ends with .mini-k8s.internal'],
    [{ ...good, machineId: 'xyz' }, 'machineId is not 32'],
    [{ ...good, bootId: 7 }, 'bootId is not a UUID'],
    [{ ...good, version: 'a b' }, 'version is not'],
    [{ ...good, arch: 's390x' }, 'arch is neither'],
    [{ ...good, addresses: '10.0.0.4' }, 'addresses is not a list'],
    [{ ...good, addresses: ['fd00::1'] }, 'addresses has an entry'],
    [{ ...good, addresses: Array(65).fill('10.0.0.4') }, 'addresses is not a list of at most'],
  ])('%j is refused: %s', (body, problem) => {
    const result = readJoinRequest(body);
    expect('problem' in result ? result.problem : '').toContain(problem);
  });
});

describe('the site of a machine', () => {
  it('is main when it called from an address of its own', () => {
    expect(siteOf('10.0.0.4', good)).toEqual({ name: 'main', isBehindNat: false });
  });

  it('is that of the address translation otherwise', () => {
    expect(siteOf('203.0.113.7', good)).toEqual({ name: 'nat-203.0.113.7', isBehindNat: true });
    expect(siteOf('fd00::7', good)).toEqual({ name: 'nat-fd00--7', isBehindNat: true });
  });
});

describe('the node of a certificate', () => {
  const subject = { commonName: 'system:node:edge-1', organizations: ['system:nodes'] };

  it('is its common name', () => {
    expect(nodeNameOf(subject)).toBe('edge-1');
  });

  it.each([
    { ...subject, organizations: [] },
    { ...subject, organizations: ['system:nodes', 'system:masters'] },
    { ...subject, organizations: ['system:masters'] },
    { ...subject, commonName: 'edge-1' },
    { ...subject, commonName: 'system:node:' },
    { ...subject, commonName: 'system:node:A' },
    { ...subject, commonName: 'system:node:a/b' },
    { ...subject, commonName: 'system:node:gateway.mini-k8s.internal' },
    { ...subject, commonName: 'x system:node:edge-1' },
  ])('is nobody for %j', (other) => {
    expect(nodeNameOf(other)).toBeUndefined();
  });
});
