import { createHash } from 'node:crypto';
import type { ApiEndpointTimings, ServerHealth } from './types.ts';

/** What is known about one server. */
export interface HealthState {
  readonly health: ServerHealth;
  /** Milliseconds since the epoch. */
  readonly since: number;
  /** Attempts in a row without an answer. */
  readonly failures: number;
  readonly lastError?: string;
  /** How long TCP took the last time, milliseconds. */
  readonly connectMs?: number;
}

/** What one look at a server found. `unreachable`: no TCP, or no TLS in time. `none`: this machine could not look. */
export type CheckResult =
  | { readonly type: 'ready'; readonly connectMs: number }
  | { readonly type: 'not-ready'; readonly connectMs: number; readonly message: string }
  | { readonly type: 'untrusted' | 'unreachable' | 'none'; readonly message: string };

export function initialHealth(now: number): HealthState {
  return { health: 'unknown', since: now, failures: 0 };
}

/** The state after a check. */
export function afterCheck(state: HealthState, result: CheckResult, now: number): HealthState {
  switch (result.type) {
    case 'ready':
      return become(state, 'healthy', now, { failures: 0, connectMs: result.connectMs });
    case 'not-ready':
      return become(state, 'not-ready', now, {
        failures: 0,
        connectMs: result.connectMs,
        lastError: result.message,
      });
    case 'none':
      return { ...state, lastError: result.message };
    case 'untrusted':
      return become(state, 'untrusted', now, { failures: 0, lastError: result.message });
    case 'unreachable': {
      const failures = state.failures + 1;
      const health = failures >= 2 ? 'dead' : 'failing';
      return become(state, health, now, { failures, lastError: result.message });
    }
  }
}

/** The state after a client's connection that could not be made; only a check can find a server dead. */
export function afterFailedDial(state: HealthState, message: string, now: number): HealthState {
  if (state.failures > 0) return { ...state, lastError: message };
  return afterCheck(state, { type: 'unreachable', message }, now);
}

/** The state of a server that another one was faster than, although it began later. */
export function afterLostRace(state: HealthState, now: number): HealthState {
  return state.health === 'healthy' ? become(state, 'unknown', now, { failures: 0 }) : state;
}

function become(
  state: HealthState,
  health: ServerHealth,
  now: number,
  facts: Omit<HealthState, 'health' | 'since'>,
): HealthState {
  const since = state.health === health ? state.since : now;
  return {
    ...(state.connectMs === undefined ? {} : { connectMs: state.connectMs }),
    ...facts,
    health,
    since,
  };
}

/** Who is asked before whom. */
const order: readonly ServerHealth[] = [
  'healthy',
  'unknown',
  'not-ready',
  'failing',
  'untrusted',
  'dead',
];

export interface Rankable {
  /** `host:port`. */
  readonly name: string;
  readonly state: HealthState;
}

/**
 * In the order in which a new connection tries them: by health; among equals the one in use first, the others as the
 * seed shuffles them, so that a cluster's workers spread over its controllers and each stays with its own.
 */
export function rankServers<T extends Rankable>(
  servers: readonly T[],
  preference: { readonly inUse: string | undefined; readonly seed: string },
): T[] {
  const keys = new Map(
    servers.map((server) => [
      server,
      [
        order.indexOf(server.state.health),
        server.name === preference.inUse ? 0 : 1,
        shuffleKey(preference.seed, server.name),
      ],
    ]),
  );
  return servers.toSorted((a, b) => compareKeys(keys.get(a) ?? [], keys.get(b) ?? []));
}

function shuffleKey(seed: string, name: string): number {
  return createHash('sha256').update(`${seed} ${name}`).digest().readUInt32BE(0);
}

function compareKeys(a: readonly number[], b: readonly number[]): number {
  const index = a.findIndex((value, position) => value !== b[position]);
  return index === -1 ? 0 : (a[index] ?? 0) - (b[index] ?? 0);
}

/** Milliseconds until a server is looked at again. `random` from 0 to 1. */
export function nextCheckMs(
  state: HealthState,
  context: { readonly hasHealthy: boolean; readonly timings: ApiEndpointTimings },
  random: number,
): number {
  const { timings, hasHealthy } = context;
  if (state.health === 'healthy') return timings.idleIntervalMs * (1 + random);
  if (state.health === 'failing') return timings.confirmIntervalMs;
  const isHopeless = state.health === 'dead' || state.health === 'untrusted';
  // Such as another site's private address, learned from the API: it never answers here.
  if (isHopeless && hasHealthy) return timings.idleIntervalMs * (1 + random);
  return timings.doubtIntervalMs * (0.8 + random * 0.4);
}

/** How long the next server waits beside this one: a far one is not outrun only because it is far. */
export function staggerFor(state: HealthState, staggerMs: number): number {
  return Math.min(Math.max(staggerMs, 2 * (state.connectMs ?? 0)), 3 * staggerMs);
}

/** Whether connections to a server are reset, so that their clients open new ones elsewhere. */
export function mustCut(
  state: HealthState,
  context: { readonly hasOther: boolean; readonly lonePatienceMs: number; readonly now: number },
): boolean {
  if (state.health !== 'dead') return false;
  return context.hasOther || context.now - state.since >= context.lonePatienceMs;
}
