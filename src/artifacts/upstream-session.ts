import type { Socket } from 'node:net';
import type { HostPort } from '../base/host-port.ts';
import type { Clock } from '../base/time.ts';
import type { Asking, ServerWords } from './ask-servers.ts';
import { createYoungCollector } from './collect-young.ts';
import type { HttpConnection } from './http-connection.ts';
import { connectOrigins, type OriginsOptions } from './origin-connections.ts';
import { createQueue } from './run-bounded.ts';
import type { ArtifactStore } from './store.ts';
import type { ArtifactEvent } from './types.ts';
import { mirroredUrl, type UpstreamCatalog, type WantedFile } from './upstream-files.ts';

export interface UpstreamSourceOptions {
  readonly catalog: UpstreamCatalog;
  /** Left out: the projects' own hosts. */
  readonly mirror?: UpstreamMirror | undefined;
  /** PEM of CAs that are trusted besides the machine's own. */
  readonly authorities?: string | undefined;
  /** A connected socket, straight or through a proxy: `dialTcp`. */
  readonly dial: (address: HostPort, signal: AbortSignal) => Promise<Socket>;
  readonly store: ArtifactStore;
  readonly onEvent: (event: ArtifactEvent) => void;
  readonly clock: Clock;
  /** 0 to 1: spreads the retries of many nodes. */
  readonly random: () => number;
  /** What is left out is as it is for a source that nothing else can replace. */
  readonly timing?: Partial<UpstreamTiming>;
}

export interface UpstreamMirror {
  /** Upstream's paths are below this address. */
  readonly base: string;
  /** The value of `Authorization`; a secret. */
  readonly authorization?: string | undefined;
}

export interface UpstreamTiming {
  /** Waiting so long for a connection, an answer or a byte of it is enough. */
  readonly stallMs: number;
  /** The first pause; each next one is twice as long, up to half a minute. */
  readonly firstPauseMs: number;
  /** How often a server may fail in turn, without a byte won. */
  readonly rounds: number;
  /**
   * What a server of which nothing was heard yet has for its first byte: one that is silent counts as dead. Left out: it
   * is waited for as often as it is asked.
   */
  readonly firstByteMs?: number | undefined;
}

/** With pauses of 1, 2, 4, 8, 16 s about half a minute: a router that starts with us has a line by then. */
const defaultTiming: UpstreamTiming = { stallMs: 30_000, firstPauseMs: 1000, rounds: 6 };

/** Enough to fill a line while a file is verified or unpacked; a third one costs 5 MB more, beyond the 40 that a node has. */
export const parallelFiles = 2;

/** What all downloads of one `provide` share. */
export interface UpstreamSession {
  readonly store: ArtifactStore;
  /** Takes whole addresses. */
  readonly connection: HttpConnection;
  /** Where a file is: at upstream or below a mirror. */
  readonly locate: (file: WantedFile) => string;
  readonly asking: Omit<Asking, 'servers'>;
  readonly rounds: number;
  /** Archives are unpacked one after the other: each needs some megabytes, and all of a small processor. */
  readonly unpackInTurn: <T>(work: () => Promise<T>) => Promise<T>;
  /** What to do when a file is not there. */
  readonly absentFix: string;
  readonly signal: AbortSignal;
}

export function openUpstreamSession(
  options: UpstreamSourceOptions,
  signal: AbortSignal,
): UpstreamSession {
  const { mirror, store, onEvent, random } = options;
  const { stallMs, firstByteMs, firstPauseMs, rounds }: UpstreamTiming = {
    ...defaultTiming,
    ...options.timing,
  };
  const connection = connectOrigins({
    ...{ dial: options.dial, authorities: options.authorities, stallMs, firstByteMs },
    credentials: credentialsOf(mirror),
    maxSockets: parallelFiles,
    onReceived: createYoungCollector(),
  });
  return {
    ...{ store, connection, rounds, signal },
    unpackInTurn: createQueue(),
    locate: ({ url }) => (mirror === undefined ? url : mirroredUrl(url, mirror.base)),
    absentFix:
      mirror === undefined
        ? 'give a bundle with --bundle, or a mirror with spec.artifacts.mirror'
        : "put upstream's file there, or take spec.artifacts.mirror back",
    asking: {
      ...{ random, firstPauseMs, signal, words: wordsFor(mirror) },
      onWaiting: (waiting) =>
        onEvent({ type: 'import-waiting', source: sourceName(options), ...waiting }),
    },
  };
}

function credentialsOf(mirror: UpstreamMirror | undefined): OriginsOptions['credentials'] {
  if (mirror?.authorization === undefined) return undefined;
  return { origin: new URL(mirror.base).origin, authorization: mirror.authorization };
}

/** `mirror mirror.example` or `upstream`, as events say it. */
export function sourceName({ mirror }: UpstreamSourceOptions): string {
  return mirror === undefined ? 'upstream' : `mirror ${new URL(mirror.base).host}`;
}

function wordsFor(mirror: UpstreamMirror | undefined): ServerWords {
  const place = mirror === undefined ? 'upstream' : 'the mirror';
  return {
    why: {
      denied: 'it does not let this machine have the file',
      untrusted: 'its certificate is not one that this machine trusts',
    },
    fix: {
      denied:
        mirror === undefined
          ? 'give a bundle with --bundle, or a mirror with spec.artifacts.mirror'
          : 'give user and password of the mirror in the file spec.artifacts.credentialsFile',
      untrusted:
        'put the CA of the mirror or proxy that answers there into spec.artifacts.ca, and check the clock of this machine',
      'wrong-content': `what ${place} has there is not what mini-k8s was released with: take another source, such as --bundle`,
      unreachable:
        'check the network of this machine (mini-k8s takes HTTPS_PROXY and NO_PROXY), or give a bundle with --bundle',
    },
  };
}
