import { describe, expect, it } from 'vitest';
import {
  createNodeRecord,
  describeAge,
  describeNode,
  removeSession,
  takeDuplicateToken,
} from '../../../src/tunnel/node-record.ts';
import type { SessionStats, YamuxSession } from '../../../src/tunnel/yamux/types.ts';

const session = (stats: SessionStats, acceptedAt: number) => ({
  carrier: { stats: () => stats } as unknown as YamuxSession,
  identity: { nodeName: 'edge-7', notAfterMs: 0, fingerprint: '', remoteAddress: '203.0.113.7' },
  acceptedAt,
});

describe('what is known of a node', () => {
  it('is the sum of its sessions, and stays when they are over', () => {
    const record = createNodeRecord('edge-7', 1_000);
    expect(describeNode(record, { now: 2_000, monotonicMs: 0 })).toEqual({
      nodeName: 'edge-7',
      ...{ sessions: 0, streams: 0, bytesToNode: 0, bytesFromNode: 0, reconnects: 0 },
      lastSeen: 1_000,
    });
    const older = session(
      { streams: 1, bytesSent: 5, bytesReceived: 7, lastFrameAtMs: 400 },
      1_000,
    );
    const newer = session(
      { streams: 2, bytesSent: 10, bytesReceived: 20, rttMs: 30, lastFrameAtMs: 450 },
      1_500,
    );
    record.sessions.push(older, newer);
    record.acceptedSessions = 2;
    expect(describeNode(record, { now: 2_000, monotonicMs: 500 })).toEqual({
      nodeName: 'edge-7',
      ...{ sessions: 2, streams: 3, bytesToNode: 15, bytesFromNode: 27, reconnects: 1 },
      ...{ connectedSince: 1_500, remoteAddress: '203.0.113.7', rttMs: 30, lastSeen: 1_950 },
    });
    removeSession(record, newer, { now: 2_100, monotonicMs: 600 });
    removeSession(record, older, { now: 2_100, monotonicMs: 600 });
    expect(describeNode(record, { now: 9_000, monotonicMs: 7_500 })).toMatchObject({
      ...{ sessions: 0, streams: 0, bytesToNode: 15, bytesFromNode: 27, lastSeen: 1_950 },
    });
  });

  it('allows a few second sessions, then one every ten seconds', () => {
    const record = createNodeRecord('edge-7', 0);
    const taken = (at: number) => takeDuplicateToken(record, at);
    expect([1, 2, 3, 4, 5, 6].map(taken)).toEqual([true, true, true, true, true, false]);
    expect([9_000, 10_001, 10_002].map(taken)).toEqual([false, true, false]);
    expect(taken(25_000)).toBe(true);
    // The clock was set back by an hour.
    expect(taken(-3_600_000)).toBe(false);
    expect(taken(-3_589_000)).toBe(true);
  });
});

it.each([
  [-5, '0 s ago'],
  [42_300, '42 s ago'],
  [119_000, '119 s ago'],
  [180_000, '3 min ago'],
  [3 * 3_600_000, '3 h ago'],
  [5 * 86_400_000, '5 days ago'],
])('%i ms are %s', (ms, words) => {
  expect(describeAge(ms)).toBe(words);
});
