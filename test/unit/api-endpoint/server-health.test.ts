import { describe, expect, test } from 'vitest';
import {
  afterCheck,
  afterFailedDial,
  afterLostRace,
  type CheckResult,
  type HealthState,
  initialHealth,
  mustCut,
  nextCheckMs,
  rankServers,
  staggerFor,
} from '../../../src/api-endpoint/server-health.ts';
import { defaultTimings, type ServerHealth } from '../../../src/api-endpoint/types.ts';

const ready: CheckResult = { type: 'ready', connectMs: 7 };
const unreachable: CheckResult = { type: 'unreachable', message: 'refused' };
const notReady: CheckResult = { type: 'not-ready', connectMs: 7, message: '/readyz answered 500' };

function stateAfter(...results: readonly CheckResult[]): HealthState {
  return results.reduce((state, result, i) => afterCheck(state, result, i + 1), initialHealth(0));
}

function state(health: ServerHealth, since = 0): HealthState {
  return { health, since, failures: 0 };
}

describe('the health of a server', () => {
  test.each([
    [[], 'unknown', 0],
    [[ready], 'healthy', 1],
    [[ready, ready], 'healthy', 1],
    [[unreachable], 'failing', 1],
    [[unreachable, unreachable], 'dead', 2],
    [[unreachable, unreachable, unreachable], 'dead', 2],
    [[unreachable, unreachable, ready], 'healthy', 3],
    [[notReady, notReady, notReady], 'not-ready', 1],
    [[unreachable, notReady, unreachable], 'failing', 3],
    [[{ type: 'untrusted', message: 'x' }, unreachable], 'failing', 2],
    [[ready, { type: 'none', message: 'EMFILE' }], 'healthy', 1],
  ] as const)('after %j is %s since %d', (results, health, since) => {
    expect(stateAfter(...results)).toMatchObject({ health, since });
  });

  test('keeps what was said last, until all is well', () => {
    expect(stateAfter(unreachable).lastError).toBe('refused');
    expect(stateAfter(unreachable, ready)).toEqual({
      health: 'healthy',
      since: 2,
      failures: 0,
      connectMs: 7,
    });
  });

  test('is doubted after one failed connection, and not more after a hundred', () => {
    let now = stateAfter(ready);
    for (let i = 0; i < 100; i += 1) now = afterFailedDial(now, `failure ${i}`, 50 + i);
    expect(now).toMatchObject({
      health: 'failing',
      since: 50,
      failures: 1,
      lastError: 'failure 99',
    });
    expect(afterCheck(now, unreachable, 200).health).toBe('dead');
  });

  test('is unknown after a lost race, unless it was worse', () => {
    expect(afterLostRace(stateAfter(ready), 9)).toMatchObject({ health: 'unknown', since: 9 });
    expect(afterLostRace(stateAfter(unreachable), 9).health).toBe('failing');
  });
});

describe('the order of servers', () => {
  const server = (name: string, health: ServerHealth) => ({ name, state: state(health) });
  const rank = (servers: ReturnType<typeof server>[], inUse?: string, seed = 'edge-1') =>
    rankServers(servers, { inUse, seed }).map(({ name }) => name);

  test('is that of their health', () => {
    const all = ['dead', 'untrusted', 'failing', 'not-ready', 'unknown', 'healthy'] as const;
    expect(rank(all.map((health) => server(health, health)))).toEqual(all.toReversed());
  });

  test('has the one in use before its equals, not before the healthier', () => {
    const equals = ['a', 'b', 'c'].map((name) => server(name, 'healthy'));
    for (const name of ['a', 'b', 'c']) expect(rank(equals, name)[0]).toBe(name);
    expect(rank([server('a', 'failing'), server('b', 'healthy')], 'a')).toEqual(['b', 'a']);
  });

  test('is the same each time on one node, and spreads over nodes', () => {
    const servers = ['a:1', 'b:1', 'c:1'].map((name) => server(name, 'unknown'));
    expect(rank(servers.toReversed())).toEqual(rank(servers));
    const firsts = Array.from({ length: 300 }, (_, i) => rank(servers, undefined, `edge-${i}`)[0]);
    for (const { name } of servers) {
      expect(firsts.filter((first) => first === name).length).toBeGreaterThan(70);
    }
  });
});

describe('the time of the next check', () => {
  const next = (health: ServerHealth, hasHealthy: boolean, random: number) =>
    nextCheckMs(state(health), { hasHealthy, timings: defaultTimings }, random);

  test.each([
    ['healthy', true, 15_000, 30_000],
    ['failing', true, 1_000, 1_000],
    ['failing', false, 1_000, 1_000],
    ['unknown', true, 4_000, 6_000],
    ['not-ready', true, 4_000, 6_000],
    ['dead', false, 4_000, 6_000],
    ['dead', true, 15_000, 30_000],
    ['untrusted', false, 4_000, 6_000],
    ['untrusted', true, 15_000, 30_000],
  ] as const)('%s, with a healthy one: %s', (health, hasHealthy, least, most) => {
    expect(next(health, hasHealthy, 0)).toBeCloseTo(least);
    expect(next(health, hasHealthy, 1)).toBeCloseTo(most);
  });
});

test.each([
  [undefined, 250],
  [3, 250],
  [200, 400],
  [2_000, 750],
])('a server that took %s ms has its head start: %d ms', (connectMs, expected) => {
  const known = connectMs === undefined ? {} : { connectMs };
  expect(staggerFor({ ...state('healthy'), ...known }, 250)).toBe(expected);
});

describe('connections are cut', () => {
  const cut = (health: ServerHealth, hasOther: boolean, now: number) =>
    mustCut(state(health, 1_000), { hasOther, lonePatienceMs: 20_000, now });

  test('when their server is dead and another is there, or none has been for long', () => {
    expect(cut('dead', true, 1_000)).toBe(true);
    expect(cut('dead', false, 20_999)).toBe(false);
    expect(cut('dead', false, 21_000)).toBe(true);
  });

  test.each(['healthy', 'unknown', 'not-ready', 'failing', 'untrusted'] as const)(
    'never when it is %s',
    (health) => {
      expect(cut(health, true, 1_000_000)).toBe(false);
    },
  );
});
