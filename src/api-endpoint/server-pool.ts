import { errorMessage } from '../base/errors.ts';
import { type HostPort, parseHostPort } from '../base/host-port.ts';
import type { Logger } from '../base/logger.ts';
import type { Clock } from '../base/time.ts';
import { isOwnTrouble } from './check-ready.ts';
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
} from './server-health.ts';
import type { ApiEndpointTimings, ApiServerStatus, ServerHealth } from './types.ts';

/** One kube-apiserver, as long as it is in a list or has connections. */
export interface ApiServer {
  /** `host:port`. */
  readonly name: string;
  readonly address: HostPort;
  readonly origin: ApiServerStatus['origin'];
  readonly state: HealthState;
  /** Connections through it, by what resets them. */
  readonly connections: Set<() => void>;
}

export interface ServerPoolOptions {
  readonly configured: readonly string[];
  readonly seed: string;
  readonly timings: ApiEndpointTimings;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly check: (server: ApiServer, signal: AbortSignal) => Promise<CheckResult>;
  /** Told how many connections were reset because their server died. */
  readonly onCut: (connections: number) => void;
}

interface Entry extends ApiServer {
  state: HealthState;
  isRetired: boolean;
  isChecking: boolean;
  /** When the last check ended, as `performance.now()` counts. */
  checkedAt: number;
  timer: NodeJS.Timeout | undefined;
}

/**
 * The servers there are and what is known about each: looks at every one in its own rhythm while running, and at once
 * when a connection fails. A class, since it lives as long as the balancer and its timers are one with its list.
 */
export class ServerPool {
  readonly #options: ServerPoolOptions;
  readonly #entries = new Map<string, Entry>();
  /** What the last connection went to: the next goes there too, as long as nobody is healthier. */
  #inUse: string | undefined;
  #signal: AbortSignal | undefined;

  constructor(options: ServerPoolOptions) {
    this.#options = options;
    for (const name of options.configured) this.#add(name, 'configured');
  }

  /** Looks after the servers until aborted. What is known is kept. */
  start(signal: AbortSignal): void {
    this.#signal = signal;
    signal.addEventListener('abort', () => {
      for (const { timer } of this.#entries.values()) clearTimeout(timer);
    });
    for (const entry of this.#entries.values()) this.#schedule(entry, 0);
  }

  /** Replaces what was learned before. A server that left the list is used no more; its connections go on. */
  setLearned(names: readonly string[]): void {
    const wanted = new Set(names);
    for (const entry of this.#entries.values()) {
      entry.isRetired = entry.origin === 'learned' && !wanted.has(entry.name);
      this.#forgetIfUnused(entry);
    }
    for (const name of names) if (!this.#entries.has(name)) this.#add(name, 'learned');
  }

  /** In the order in which a new connection tries them. */
  ranked(): ApiServer[] {
    const usable = [...this.#entries.values()].filter(({ isRetired }) => !isRetired);
    return rankServers(usable, { inUse: this.#inUse, seed: this.#options.seed });
  }

  reportConnected(server: ApiServer): void {
    this.#inUse = server.name;
    if (server.state.health !== 'healthy') this.#lookSoon(server);
  }

  reportFailed(server: ApiServer, error: unknown): void {
    const entry = this.#entries.get(server.name);
    if (entry === undefined || isOwnTrouble(error)) return;
    this.#become(
      entry,
      afterFailedDial(entry.state, errorMessage(error), this.#options.clock.now()),
    );
    this.#lookSoon(entry);
  }

  /** It leaves a client waiting, or another server answered first although it was asked later. */
  reportSlow(server: ApiServer): void {
    const entry = this.#entries.get(server.name);
    if (entry === undefined) return;
    this.#become(entry, afterLostRace(entry.state, this.#options.clock.now()));
    this.#lookSoon(entry);
  }

  /** One of the server's connections was broken off by it, or was closed. */
  reportClosed(server: ApiServer, wasReset: boolean): void {
    const entry = this.#entries.get(server.name);
    if (entry === undefined) return;
    if (wasReset) this.#lookSoon(entry);
    this.#forgetIfUnused(entry);
  }

  /** Whether there is one that is known to be well besides these. */
  hasHealthyBeside(...names: readonly string[]): boolean {
    return [...this.#entries.values()].some(
      ({ name, state, isRetired }) =>
        state.health === 'healthy' && !isRetired && !names.includes(name),
    );
  }

  statuses(): ApiServerStatus[] {
    return [...this.#entries.values()].map(({ name, origin, state, connections }) => ({
      address: name,
      origin,
      health: state.health,
      since: state.since,
      ...(state.lastError === undefined ? {} : { lastError: state.lastError }),
      connections: connections.size,
    }));
  }

  #add(name: string, origin: ApiServer['origin']): void {
    const address = parseHostPort(name);
    if (address === undefined) throw new Error(`${name} is no host:port of an API server`);
    const entry: Entry = {
      name,
      address,
      origin,
      state: initialHealth(this.#options.clock.now()),
      connections: new Set(),
      isRetired: false,
      isChecking: false,
      checkedAt: Number.NEGATIVE_INFINITY,
      timer: undefined,
    };
    this.#entries.set(name, entry);
    this.#schedule(entry, 0);
  }

  #forgetIfUnused(entry: Entry): void {
    if (!entry.isRetired || entry.connections.size > 0) return;
    clearTimeout(entry.timer);
    this.#entries.delete(entry.name);
  }

  #lookSoon(server: ApiServer): void {
    const entry = this.#entries.get(server.name);
    if (entry === undefined || entry.isChecking) return;
    const rest = entry.checkedAt + this.#options.timings.confirmIntervalMs - performance.now();
    this.#schedule(entry, Math.max(0, rest));
  }

  #schedule(entry: Entry, delayMs: number): void {
    clearTimeout(entry.timer);
    const signal = this.#signal;
    if (signal === undefined || signal.aborted || this.#entries.get(entry.name) !== entry) return;
    entry.timer = setTimeout(() => void this.#look(entry, signal), delayMs);
  }

  async #look(entry: Entry, signal: AbortSignal): Promise<void> {
    if (entry.isChecking) return;
    entry.isChecking = true;
    const { check, clock, timings } = this.#options;
    try {
      const result = await check(entry, signal);
      this.#become(entry, afterCheck(entry.state, result, clock.now()));
    } catch (error) {
      if (!signal.aborted) throw error;
    } finally {
      entry.isChecking = false;
      entry.checkedAt = performance.now();
    }
    this.#cutTheDead();
    const context = { hasHealthy: this.#has('healthy'), timings };
    this.#schedule(entry, nextCheckMs(entry.state, context, Math.random()));
  }

  #become(entry: Entry, state: HealthState): void {
    const before = entry.state.health;
    entry.state = state;
    if (before !== state.health) this.#tell(entry, before);
  }

  #tell({ name, state }: Entry, before: ServerHealth): void {
    const { logger } = this.#options;
    const why = state.lastError ?? '';
    if (state.health === 'dead') logger.warn(`API server ${name} is dead: ${why}`);
    else if (state.health === 'untrusted') logger.warn(`API server ${name} is not trusted: ${why}`);
    else if (state.health === 'healthy' && (before === 'dead' || before === 'untrusted'))
      logger.info(`API server ${name} is back`);
    else logger.debug(`API server ${name} is ${state.health}${why === '' ? '' : `: ${why}`}`);
  }

  #cutTheDead(): void {
    const { timings, clock, onCut, logger } = this.#options;
    for (const { name, state, connections } of this.#entries.values()) {
      const hasOther = this.#has('healthy') || this.#has('not-ready');
      const context = { hasOther, lonePatienceMs: timings.lonePatienceMs, now: clock.now() };
      if (connections.size === 0 || !mustCut(state, context)) continue;
      logger.info(`${connections.size} connections to the dead API server ${name} are cut`);
      onCut(connections.size);
      for (const cut of [...connections]) cut();
    }
  }

  #has(health: ServerHealth): boolean {
    return [...this.#entries.values()].some(
      ({ state, isRetired }) => state.health === health && !isRetired,
    );
  }
}
