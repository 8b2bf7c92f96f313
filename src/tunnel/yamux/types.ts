import type { Duplex } from 'node:stream';

/** Why a session is over. */
export interface SessionEnd {
  /** `closed`: by us, or by the peer after GOAWAY; the others are failures. */
  readonly cause: 'closed' | 'transport' | 'protocol' | 'timeout';
  /** For people: `no frame for 45 s`, `the peer overran the window of stream 7`. */
  readonly message: string;
}

export interface SessionStats {
  readonly streams: number;
  /** Payload of data frames. */
  readonly bytesSent: number;
  readonly bytesReceived: number;
  /** Of the last answered ping, milliseconds; undefined before the first. */
  readonly rttMs?: number;
  /** Milliseconds of the monotonic clock. */
  readonly lastFrameAtMs: number;
}

/**
 * One stream: a Duplex that keeps both directions apart (`allowHalfOpen`). `end()` sends FIN, `end` is the peer's FIN.
 * A RST of the peer destroys it with an error whose code is ECONNRESET; the end of the session likewise. It has the
 * names of `net.Socket`, so that one relay serves both.
 */
export interface YamuxStream extends Duplex {
  readonly id: number;
  readonly bytesRead: number;
  readonly bytesWritten: number;
  /** Received, and not read yet. */
  readonly unreadBytes: number;
  /** Ends after everything that was written, then destroys. */
  destroySoon(): void;
  /** Sends RST at once and drops what was not sent. */
  resetAndDestroy(): this;
}

/** A yamux session over any connected Duplex (a TLS socket), from the moment of its creation. */
export interface YamuxSession {
  /**
   * Opens a stream; data may be written at once.
   * @throws Error when the session is over or draining, or has `maxStreams` open.
   */
  openStream(): YamuxStream;
  /** GOAWAY: the peer opens no more streams; those that live go on, and the session closes after the last. */
  drain(): void;
  /** Ends it and every stream of it now. */
  destroy(message: string): void;
  readonly isOpen: boolean;
  /** Open now, both sides' together. */
  readonly streams: number;
  /** Resolves, never rejects, when it is over. */
  readonly ended: Promise<SessionEnd>;
  stats(): SessionStats;
}

export interface YamuxOptions {
  /** The side that dialled is the client and opens odd ids. */
  readonly role: 'client' | 'server';
  readonly transport: Duplex;
  /** Called for each stream that the peer opens; absent: a stream of the peer's is a protocol error. */
  readonly onStream?: (stream: YamuxStream) => void;
  /** Called once, at the peer's first valid frame: it has accepted this side. */
  readonly onPeerFrame?: () => void;
  /** Called once, when the peer wants no more streams. */
  readonly onPeerDrain?: () => void;
  /** Open at a time, both sides' together. Default 4096. */
  readonly maxStreams?: number;
  /** Shared by all sessions of the process; default: one of 256 MiB for each session. */
  readonly budget?: WindowBudget;
  /** 20 s ± 25 % unless given, milliseconds. */
  readonly pingIntervalMs?: number;
  /** 45 s unless given: over without any inbound frame for this long. */
  readonly deadAfterMs?: number;
  /** 5 s unless given: the peer's first frame. */
  readonly firstFrameMs?: number;
  readonly random?: () => number;
}

/** Caps the sum of receive windows above the implicit 256 KiB of each stream, so that stalled readers cost little. */
export interface WindowBudget {
  /** Takes `bytes` when they are left; false: stay with what you have. */
  take(bytes: number): boolean;
  give(bytes: number): void;
}
