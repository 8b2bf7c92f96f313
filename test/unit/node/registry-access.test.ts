import { describe, expect, it } from 'vitest';
import type { Peer } from '../../../src/base/http-route.ts';
import type { TokenCheck } from '../../../src/join/check-token.ts';
import type { JoinRecord } from '../../../src/join/join-records.ts';
import { JoinRefusal } from '../../../src/join/join-refusal.ts';
import { createRegistryAccess } from '../../../src/node/registry-access.ts';

const remoteAddress = '192.0.2.7';

function peerOf(nodeName: string): Peer {
  const commonName = `system:node:${nodeName}`;
  const names = { commonName, organizations: ['system:nodes'] };
  return { remoteAddress, certificate: { ...names, fingerprint: '', notAfterMs: 0 } };
}

/** Tokens and records as sets, and how often they were looked at. */
function rig() {
  const state = { nowMs: 0, looks: 0, removed: new Set<string>(), revoked: new Set<string>() };
  const pending: (() => void)[] = [];
  const look = () => {
    state.looks += 1;
    return new Promise<void>((resolve) => pending.push(resolve));
  };
  const tokens: TokenCheck = {
    check: async ({ authorization = '' }) => {
      await look();
      if (!state.revoked.has(authorization)) return {} as Awaited<ReturnType<TokenCheck['check']>>;
      const words = { reason: 'TokenRevoked', message: 'revoked', fix: '' } as const;
      throw new JoinRefusal({ status: 403, ...words });
    },
  };
  const records = {
    get: async (name: string) => {
      await look();
      if (name === 'broken') throw new Error('the API is away');
      return state.removed.has(name) ? ({ removedAt: 'now' } as JoinRecord) : undefined;
    },
  };
  const mayRead = createRegistryAccess({ tokens, records, monotonicMs: () => state.nowMs });
  const answerAll = () => {
    for (const resolve of pending.splice(0)) resolve();
  };
  const ask = async (peer: Peer, authorization?: string) => {
    const answer = mayRead({ peer, authorization });
    answerAll();
    return answer;
  };
  return { state, mayRead, ask, answerAll };
}

describe('access to the store', () => {
  it('is looked up once for the requests of some seconds, and again after', async () => {
    const { state, ask } = rig();
    for (let i = 0; i < 5; i += 1) expect(await ask(peerOf('edge-1'))).toBe(true);
    expect(state.looks).toBe(1);
    expect(await ask(peerOf('edge-2'))).toBe(true);
    expect(state.looks).toBe(2);
    state.nowMs = 9_999;
    await ask(peerOf('edge-1'));
    expect(state.looks).toBe(2);
    state.nowMs = 10_000;
    await ask(peerOf('edge-1'));
    expect(state.looks).toBe(3);
  });

  it('is looked up once for requests at the same time', async () => {
    const { state, mayRead, answerAll } = rig();
    const reader = { peer: { remoteAddress }, authorization: 'Bearer a.b' };
    const answers = Promise.all([mayRead(reader), mayRead(reader), mayRead(reader)]);
    answerAll();
    expect(await answers).toEqual([true, true, true]);
    expect(state.looks).toBe(1);
  });

  it('ends for a node that was removed and a token that was revoked, and comes back at once', async () => {
    const { state, ask } = rig();
    const token = 'Bearer a.b';
    expect(await ask(peerOf('edge-1'))).toBe(true);
    expect(await ask({ remoteAddress }, token)).toBe(true);
    state.removed.add('edge-1');
    state.revoked.add(token);
    state.nowMs = 10_000;
    expect(await ask(peerOf('edge-1'))).toBe(false);
    expect(await ask({ remoteAddress }, token)).toBe(false);
    state.removed.clear();
    expect(await ask(peerOf('edge-1'))).toBe(true);
    expect(await ask({ remoteAddress }, token)).toBe(false);
  });

  it('is no one else’s, and a certificate counts before a token', async () => {
    const { state, ask } = rig();
    expect(await ask({ remoteAddress }, 'Bearer a.b')).toBe(true);
    state.revoked.add('Bearer a.c').add('Bearer a.b');
    expect(await ask({ remoteAddress }, 'Bearer a.c')).toBe(false);
    // The same token from elsewhere: limits are by address.
    expect(await ask({ remoteAddress: '192.0.2.8' }, 'Bearer a.b')).toBe(false);
    expect(await ask({ remoteAddress })).toBe(false);
    state.removed.add('edge-1');
    expect(await ask(peerOf('edge-1'), 'Bearer a.b')).toBe(false);
  });

  it('is asked for again after a failure', async () => {
    const { state, ask } = rig();
    await expect(ask(peerOf('broken'))).rejects.toThrow('the API is away');
    await expect(ask(peerOf('broken'))).rejects.toThrow('the API is away');
    expect(state.looks).toBe(2);
  });

  it('is remembered of a thousand, however many ask', async () => {
    const { state, ask } = rig();
    for (let i = 0; i < 1025; i += 1) await ask(peerOf(`edge-${i}`));
    expect(state.looks).toBe(1025);
    await ask(peerOf('edge-1024'));
    await ask(peerOf('edge-1'));
    expect(state.looks).toBe(1025);
    await ask(peerOf('edge-0'));
    expect(state.looks).toBe(1026);
  });
});
