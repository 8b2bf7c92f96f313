import { Duplex } from 'node:stream';
import { encodeHeader, type FrameType, frameType } from '../../../../src/tunnel/yamux/frame.ts';
import { FrameDecoder } from '../../../../src/tunnel/yamux/frame-decoder.ts';
import { createYamuxSession } from '../../../../src/tunnel/yamux/session.ts';
import type {
  YamuxOptions,
  YamuxSession,
  YamuxStream,
} from '../../../../src/tunnel/yamux/types.ts';

/** Sizes of the parts that a write arrives in; at least 1. */
export type Cut = (length: number) => number;

/** Two ends of a connection in memory; a write is done, in a later turn, when the other end takes more. */
export function memoryPair(cut: Cut = (length) => length): [MemoryEnd, MemoryEnd] {
  const ends: [MemoryEnd, MemoryEnd] = [new MemoryEnd(cut), new MemoryEnd(cut)];
  ends[0].other = ends[1];
  ends[1].other = ends[0];
  return ends;
}

class MemoryEnd extends Duplex {
  other: MemoryEnd | undefined;
  readonly #cut: Cut;
  #wake: (() => void) | undefined;

  constructor(cut: Cut) {
    super({ allowHalfOpen: false });
    this.#cut = cut;
  }

  override _read(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    if (wake !== undefined) setImmediate(wake);
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    const { other } = this;
    let wantsMore = true;
    for (let offset = 0; offset < chunk.length; ) {
      const length = Math.max(1, this.#cut(chunk.length - offset));
      wantsMore = other?.push(chunk.subarray(offset, offset + length)) ?? false;
      offset += length;
    }
    if (other !== undefined && !wantsMore) other.#wake = done;
    else setImmediate(done);
  }

  override _final(done: () => void): void {
    this.other?.push(null);
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    const { other } = this;
    setImmediate(() => other?.destroy());
    done(error);
  }
}

export interface SessionPair {
  readonly client: YamuxSession;
  readonly server: YamuxSession;
  readonly ends: readonly [Duplex, Duplex];
  /** Streams that the server has opened, as the client sees them. */
  readonly accepted: YamuxStream[];
}

/** An agent (client) and a controller (server), whose streams the agent hands to `serve`. */
export function sessionPair(
  serve: (stream: YamuxStream) => void,
  options: { readonly cut?: Cut; readonly common?: Partial<YamuxOptions> } = {},
): SessionPair {
  const ends = memoryPair(options.cut);
  const accepted: YamuxStream[] = [];
  const onStream = (stream: YamuxStream) => {
    stream.on('error', () => {});
    accepted.push(stream);
    serve(stream);
  };
  const client = createYamuxSession({
    ...options.common,
    role: 'client',
    transport: ends[0],
    onStream,
  });
  const server = createYamuxSession({ ...options.common, role: 'server', transport: ends[1] });
  return { client, server, ends, accepted };
}

export interface Frame {
  readonly type: FrameType;
  readonly flags: number;
  readonly id: number;
  readonly length: number;
}

/** A session whose peer is the test: it says what it likes, and sees what comes back. */
export interface RawPeer {
  readonly session: YamuxSession;
  readonly received: Frame[];
  readonly transport: Duplex;
  send(type: FrameType, flags: number, id: number, length: number, payload?: Buffer): void;
}

/** The session is the server, as the controller is, unless `options` say otherwise. */
export function rawPeer(options: Partial<YamuxOptions> = {}): RawPeer {
  const [near, far] = memoryPair();
  const received: Frame[] = [];
  const decoder = new FrameDecoder({
    onFrame: (type, flags, id, length) => {
      received.push({ type, flags, id, length });
    },
    onPayload: () => {},
    onPayloadEnd: () => {},
  });
  far.on('data', (chunk: Buffer) => decoder.decode(chunk));
  const session = createYamuxSession({ role: 'server', ...options, transport: near });
  return {
    session,
    received,
    transport: far,
    send: (type, flags, id, length, payload) => {
      far.write(encodeHeader(type, flags, id, length));
      if (payload !== undefined) far.write(payload);
    },
  };
}

/** After everything that was written so far has been read and answered. */
export async function settle(turns = 10): Promise<void> {
  for (let turn = 0; turn < turns; turn += 1) {
    await new Promise((resolve) => setImmediate(resolve));
  }
}

export function framesOf(peer: RawPeer, type: keyof typeof frameType): Frame[] {
  return peer.received.filter((frame) => frame.type === frameType[type]);
}

/** Turns of the event loop until something is so. @throws Error naming it after thirty seconds. */
export async function until(isSo: () => boolean, subject: string): Promise<void> {
  const deadline = performance.now() + 30_000;
  while (!isSo()) {
    if (performance.now() > deadline) throw new Error(`waited 30 s for ${subject}`);
    await settle(1);
  }
}

/** Everything up to the end; not by `for await`, which destroys the writing half too. */
export function readAll(stream: Duplex, afterPart?: () => Promise<void>): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const parts: Buffer[] = [];
    stream.on('data', (part: Buffer) => {
      parts.push(part);
      if (afterPart === undefined) return;
      stream.pause();
      void afterPart().then(() => stream.resume());
    });
    stream.once('end', () => resolve(Buffer.concat(parts)));
    stream.once('close', () => reject(new Error('closed before its end')));
    stream.once('error', reject);
  });
}
