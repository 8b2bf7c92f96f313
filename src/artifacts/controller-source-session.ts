import type { Socket } from 'node:net';
import { type HostPort, parseHostPort, renderHostPort } from '../base/host-port.ts';
import type { Clock } from '../base/time.ts';
import type { ServerWords } from './ask-servers.ts';
import { createYoungCollector } from './collect-young.ts';
import { type ControllerCredentials, connectController } from './controller-source-http.ts';
import type { DownloadSession } from './download-session.ts';
import type { OfferedManifest } from './registry-offer.ts';
import type { ArtifactStore } from './store.ts';
import type { ArtifactEvent } from './types.ts';

export interface ControllerSourceOptions {
  /** `host:port` of gateways, in the order in which they are tried; at least one. */
  readonly controllers: readonly string[];
  /** PEM of the cluster's CA: nothing is sent to a server that it does not vouch for. */
  readonly ca: string;
  readonly credentials: ControllerCredentials;
  /** A connected socket, straight or through a proxy: `dialTcp`. */
  readonly dial: (address: HostPort, signal: AbortSignal) => Promise<Socket>;
  readonly store: ArtifactStore;
  /**
   * What the join document names: these digests are trusted, so the manifests are asked for by them and by no tag.
   * What it does not name is asked for by tag.
   */
  readonly offered?: readonly OfferedManifest[];
  readonly onEvent: (event: ArtifactEvent) => void;
  readonly clock: Clock;
  /** 0 to 1: spreads the retries of many nodes. */
  readonly random: () => number;
  /** For tests. */
  readonly timing?: Partial<SourceTiming>;
}

export interface SourceTiming {
  /** Waiting so long for a connection, an answer or a byte of it is enough. */
  readonly stallMs: number;
  /** The first pause; each next one is twice as long, up to half a minute. */
  readonly firstPauseMs: number;
  /** How often all controllers may fail in turn, without a byte won, before executables are given up. */
  readonly rounds: number;
}

/** With pauses of 1, 2, 4 … 30 s about a minute and a half: longer than a controller takes to start. */
const defaultTiming: SourceTiming = { stallMs: 30_000, firstPauseMs: 1000, rounds: 8 };

/** A node starts without an image: containerd pulls it, through the same controllers, when a pod needs it. */
const imageRounds = 2;

const words: ServerWords = {
  why: {
    denied: 'it does not accept the token or certificate of this node',
    untrusted: 'its certificate is not one of this cluster',
  },
  fix: {
    denied: 'join again with a new token: mini-k8s token create, on a controller',
    untrusted:
      'check that the address is that of a controller of this cluster, and the clocks of both',
    'wrong-content': 'give that controller its bundle again with --bundle',
    unreachable:
      'check that this machine reaches a controller at that address and port, and start again',
  },
};

/** Connects nothing yet. */
export function openSession(
  options: ControllerSourceOptions,
  signal: AbortSignal,
): DownloadSession {
  const { ca, credentials, dial, onEvent, clock, random, store } = options;
  const { stallMs, firstPauseMs, rounds } = { ...defaultTiming, ...options.timing };
  const onReceived = createYoungCollector();
  const servers = options.controllers.map((name) => {
    const address = parseHostPort(name);
    if (address === undefined) throw new Error(`${name} is no host:port`);
    const connection = connectController({
      ...{ address, ca, credentials, dial, stallMs, onReceived },
    });
    return { name: renderHostPort(address), connection };
  });
  // The one that answered last.
  const sourceName = () => `controller ${servers[0]?.name}`;
  return {
    ...{ store, signal, onEvent, clock, sourceName },
    rounds: ({ kind }) => (kind === 'image' ? Math.min(imageRounds, rounds) : rounds),
    asking: {
      ...{ servers, words, random, firstPauseMs, signal },
      onWaiting: (waiting) => onEvent({ type: 'import-waiting', source: sourceName(), ...waiting }),
    },
  };
}
