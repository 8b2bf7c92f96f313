import { describe, expect, it } from 'vitest';
import {
  type AdmissionFacts,
  admitJoin,
  admitRefresh,
  isTwoMachines,
} from '../../../src/join/admit-node.ts';
import type { JoinRecord } from '../../../src/join/join-records.ts';
import { JoinRefusal } from '../../../src/join/join-refusal.ts';
import { mainSite } from '../../../src/join/site.ts';
import { machineA, machineB, requestOf } from './machines.ts';

const nowMs = Date.parse('2026-11-21T12:00:00Z');
const longAgo = '2026-11-20T12:00:00.000Z';

const known: JoinRecord = {
  nodeName: 'edge-1',
  machineId: machineA.machineId,
  bootId: machineA.bootId,
  tokenId: 'abc123',
  joinedAt: longAgo,
  addresses: ['10.0.0.4'],
  site: mainSite,
  lastSeen: new Date(nowMs - 60_000).toISOString(),
};

function factsOf(facts: Partial<AdmissionFacts> = {}): AdmissionFacts {
  return {
    request: requestOf(machineA),
    site: mainSite,
    current: undefined,
    isAlive: false,
    nowMs,
    ...facts,
  };
}

function refusalOf(act: () => unknown): JoinRefusal {
  try {
    act();
  } catch (error) {
    if (error instanceof JoinRefusal) return error;
    throw error;
  }
  throw new Error('it was admitted');
}

describe('joining', () => {
  it('remembers who joined with which token', () => {
    expect(admitJoin(factsOf(), 'abc123')).toEqual({
      ...known,
      joinedAt: '2026-11-21T12:00:00.000Z',
      lastSeen: '2026-11-21T12:00:00.000Z',
    });
  });

  it('refuses another machine while the first is alive, and names both', () => {
    const facts = factsOf({ current: known, isAlive: true, request: requestOf(machineB) });
    const refusal = refusalOf(() => admitJoin(facts, 'xyz789'));
    expect(refusal).toMatchObject({ status: 409, reason: 'NameTaken' });
    expect(refusal.message).toContain(machineA.machineId);
    expect(refusal.message).toContain(machineB.machineId);
    expect(refusal.fix).toContain('--node-name');
    expect(refusal.fix).toContain('node remove edge-1');
  });

  it('refuses a clone that asks a moment later, when the first is not Ready yet', () => {
    const current = { ...known, joinedAt: new Date(nowMs - 1_000).toISOString() };
    const refusal = refusalOf(() =>
      admitJoin(factsOf({ current, request: requestOf(machineB) }), 'abc123'),
    );
    expect(refusal.message).toContain(machineA.machineId);
  });

  it('refuses one of two that ask in the same moment, whoever read the clock first', () => {
    const current = { ...known, joinedAt: new Date(nowMs + 5).toISOString() };
    const facts = factsOf({ current, request: requestOf(machineB) });
    expect(refusalOf(() => admitJoin(facts, 'abc123')).reason).toBe('NameTaken');
    // What a clock wrote that was wrong by a day holds no name.
    const tomorrow = { ...known, joinedAt: '2026-11-22T12:00:00.000Z' };
    expect(admitJoin({ ...facts, current: tomorrow }, 'abc123').machineId).toBe(machineB.machineId);
  });

  it('refuses a copy with the same machine id that is alive in another boot', () => {
    const request = { ...requestOf(machineA), bootId: machineB.bootId };
    const facts = factsOf({ current: known, isAlive: true, request });
    expect(refusalOf(() => admitJoin(facts, 'abc123')).message).toContain('two machines');
  });

  it('lets re-imaged hardware in when the node is not alive, and forgets who it was', () => {
    const facts = factsOf({ current: known, request: requestOf(machineB) });
    expect(admitJoin(facts, 'xyz789')).toMatchObject({
      machineId: machineB.machineId,
      tokenId: 'xyz789',
      previousBootId: machineA.bootId,
    });
  });

  it('lets the same machine in again whose answer was lost', () => {
    expect(admitJoin(factsOf({ current: known, isAlive: true }), 'abc123')).toMatchObject({
      machineId: machineA.machineId,
    });
  });

  it('refuses the name of a node that never joined with a token', () => {
    const refusal = refusalOf(() => admitJoin(factsOf({ isAlive: true }), 'abc123'));
    expect(refusal).toMatchObject({ status: 409 });
    expect(refusal.message).toContain(machineA.machineId);
  });

  it('clears the mark of a node that was removed, though its session may live a moment longer', () => {
    const current = { ...known, removedAt: longAgo };
    const facts = factsOf({ current, isAlive: true, request: requestOf(machineB) });
    expect(admitJoin(facts, 'abc123')).not.toHaveProperty('removedAt');
    const unknown = { ...current, machineId: '', bootId: '', joinedAt: '' };
    expect(admitJoin({ ...facts, current: unknown }, 'abc123')).not.toHaveProperty('removedAt');
  });
});

describe('asking again', () => {
  it('writes nothing when nothing has changed within the hour', () => {
    expect(admitRefresh(factsOf({ current: known }))).toBeUndefined();
    const later = nowMs + 3_600_000;
    expect(admitRefresh(factsOf({ current: known, nowMs: later }))).toMatchObject({
      lastSeen: new Date(later).toISOString(),
      joinedAt: longAgo,
    });
  });

  it('follows addresses, site and boot', () => {
    const site = { name: 'nat-203.0.113.7', isBehindNat: true };
    const request = { ...requestOf(machineA), addresses: ['10.0.0.9'], bootId: machineB.bootId };
    expect(admitRefresh(factsOf({ current: known, request, site }))).toMatchObject({
      addresses: ['10.0.0.9'],
      site,
      bootId: machineB.bootId,
      previousBootId: machineA.bootId,
    });
  });

  it('refuses another machine that has the certificate', () => {
    const refusal = refusalOf(() =>
      admitRefresh(factsOf({ current: known, request: requestOf(machineB) })),
    );
    expect(refusal.status).toBe(409);
    expect(refusal.message).toContain(machineA.machineId);
    expect(refusal.message).toContain(machineB.machineId);
  });

  it('refuses a node that was removed, and one that never joined', () => {
    const removed = { ...known, removedAt: longAgo };
    expect(refusalOf(() => admitRefresh(factsOf({ current: removed })))).toMatchObject({
      status: 403,
      reason: 'NodeRemoved',
    });
    expect(refusalOf(() => admitRefresh(factsOf()))).toMatchObject({ reason: 'NodeUnknown' });
  });

  it('notices two machines with one identity by a boot that comes back', () => {
    const first = admitRefresh(
      factsOf({ current: known, request: { ...requestOf(machineA), bootId: machineB.bootId } }),
    );
    expect(isTwoMachines({ bootId: machineB.bootId }, first)).toBe(false);
    expect(isTwoMachines({ bootId: machineA.bootId }, first)).toBe(true);
  });
});
