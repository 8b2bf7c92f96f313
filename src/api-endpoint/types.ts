import type { Logger } from '../base/logger.ts';
import type { ProxySettings } from '../base/proxy-settings.ts';
import type { Clock } from '../base/time.ts';
import type { Component } from '../supervisor/types.ts';
import type { NameResolver } from './name-lookup.ts';

export interface ApiEndpointOptions {
  /** Where clients on this machine find it: 127.0.0.1. */
  readonly listenAddress: string;
  /** 0 takes any free one, the same for every address. */
  readonly port: number;
  /** `host:port` of kube-apiservers as configured. Names are resolved anew by each attempt; never forgotten. */
  readonly servers: readonly string[];
  /** Servers learned from the API are kept here over restarts. */
  readonly learnedFile: string;
  /** PEM; kube-apiservers prove to be ones by it, with the name `kubernetes`. */
  readonly ca: string;
  /** The same list makes another first choice on another node: the node's name. */
  readonly seed: string;
  readonly proxy?: ProxySettings | undefined;
  /** Says what a name is now; the system's resolver when left out. */
  readonly resolve?: NameResolver;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly timings?: Partial<ApiEndpointTimings>;
}

/** All in milliseconds. */
export interface ApiEndpointTimings {
  /** Without an answer from the first server after this long the next is tried beside it. */
  readonly staggerMs: number;
  /** For one client's connection, over all servers. */
  readonly dialTimeoutMs: number;
  /** The same while every server is known to be dead. */
  readonly hopelessDialTimeoutMs: number;
  /** For TCP, of a health check. */
  readonly checkDialTimeoutMs: number;
  /** For TLS and for the answer of /readyz each: small controllers take seconds under load. */
  readonly checkAnswerTimeoutMs: number;
  /** The same while another server is healthy: nobody has to wait for this one. */
  readonly hurriedAnswerTimeoutMs: number;
  /** A server that says nothing to a client's first words for so long is passed over, if another is healthy. */
  readonly firstAnswerMs: number;
  /** One that says nothing to a client for so long later is looked at, if another is healthy. */
  readonly silenceMs: number;
  /** Between checks of a server that just failed once. */
  readonly confirmIntervalMs: number;
  /** Between checks while no server is healthy; the dead are looked at more seldom while one is. */
  readonly doubtIntervalMs: number;
  /** Between checks of a healthy server: at least this, at most twice. */
  readonly idleIntervalMs: number;
  /** With no other server to go to, connections to a dead one are left to TCP for this long. */
  readonly lonePatienceMs: number;
}

export const defaultTimings: ApiEndpointTimings = {
  staggerMs: 250,
  dialTimeoutMs: 5_000,
  hopelessDialTimeoutMs: 1_000,
  checkDialTimeoutMs: 3_000,
  checkAnswerTimeoutMs: 10_000,
  hurriedAnswerTimeoutMs: 3_000,
  firstAnswerMs: 500,
  silenceMs: 2_000,
  confirmIntervalMs: 1_000,
  doubtIntervalMs: 5_000,
  idleIntervalMs: 15_000,
  lonePatienceMs: 20_000,
};

/** The balancer as a component. */
export interface ApiEndpoint extends Component {
  status(): ApiEndpointStatus;
  /** The port that it listens on; 0 before the first start when any was asked for. */
  port(): number;
  /** The servers that the API names now, `host:port`; an empty list is no news. Kept on disk. */
  update(servers: readonly string[]): void;
  /**
   * Listens there too, now or as soon as the machine has the address: the pod network's bridge. Idempotent; holds over
   * restarts of the component.
   */
  addListenAddress(address: string): void;
}

/**
 * - `unknown`: not looked at yet, or slower than another lately.
 * - `not-ready`: it is there, but /readyz says no or nothing.
 * - `failing`: did not answer once.
 * - `untrusted`: its certificate is not of this cluster, or not valid at this time.
 * - `dead`: did not answer twice or more; its connections are cut.
 */
export type ServerHealth = 'healthy' | 'unknown' | 'not-ready' | 'failing' | 'untrusted' | 'dead';

export interface ApiServerStatus {
  /** `host:port`. */
  readonly address: string;
  readonly origin: 'configured' | 'learned';
  readonly health: ServerHealth;
  /** When the health became what it is, milliseconds since the epoch. */
  readonly since: number;
  readonly lastError?: string;
  readonly connections: number;
}

export interface ApiEndpointStatus {
  /** `address:port` of every listener. */
  readonly listening: readonly string[];
  /** Where the next connection goes first; undefined without any server. */
  readonly chosen?: string;
  readonly servers: readonly ApiServerStatus[];
  readonly activeConnections: number;
  readonly acceptedConnections: number;
  /** Reset because no server was reached. */
  readonly refusedConnections: number;
  /** Reset because their server died. */
  readonly cutConnections: number;
}
