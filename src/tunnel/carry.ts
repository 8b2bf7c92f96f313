import { Socket } from 'node:net';
import type { ByteStream } from './types.ts';

/** Below this nothing is held back: it is a message of its own, and somebody waits for it. */
const burstBytes = 2 * 1024;

/** What a relay wants to hear of one direction. */
export interface CarryListener {
  /** Bytes of the source were written. Called often. */
  onData(): void;
  /** The source has ended, and the sink was told. */
  onEnd(): void;
}

/**
 * One direction of a relay: `pipe()` with a fifth of its objects, which every stream keeps as long as it lives and every
 * garbage collection of a burst of streams moves about. Both ends have listeners for their errors already.
 */
export class Carry {
  readonly #source: ByteStream;
  readonly #sink: ByteStream;
  readonly #listener: CarryListener | undefined;
  #state: 'new' | 'carrying' | 'stopped' = 'new';
  #isCorked = false;
  #hearsDrain = false;

  constructor(source: ByteStream, sink: ByteStream, listener?: CarryListener) {
    this.#source = source;
    this.#sink = sink;
    this.#listener = listener;
  }

  /** The second time it does nothing. */
  start(): void {
    if (this.#state !== 'new') return;
    this.#state = 'carrying';
    const source = this.#source;
    if (source.readableEnded) {
      this.#onEnd();
      return;
    }
    // What comes out of a socket is in large parts already.
    const isBursty = !(source instanceof Socket);
    source.on('data', (chunk: Buffer) => this.#onData(chunk, isBursty));
    source.on('end', () => this.#onEnd());
    if (this.#sink.writableNeedDrain) this.#waitForDrain();
    else source.resume();
  }

  /** Carries no more; what the source goes on sending is for others to read, or to leave where it is. */
  stop(): void {
    if (this.#state === 'carrying' && !this.#source.destroyed) this.#source.pause();
    this.#state = 'stopped';
  }

  #onData(chunk: Buffer, isBursty: boolean): void {
    if (this.#state === 'stopped') return;
    if (isBursty && chunk.length >= burstBytes) this.#cork();
    const hasRoom = this.#sink.write(chunk);
    if (!hasRoom) this.#waitForDrain();
    this.#listener?.onData();
  }

  /** Most directions never fill their sink, and need no listener for it. */
  #waitForDrain(): void {
    this.#source.pause();
    if (this.#hearsDrain) return;
    this.#hearsDrain = true;
    this.#sink.on('drain', () => {
      if (this.#state === 'carrying') this.#source.resume();
    });
  }

  /**
   * TLS hands over 16 KiB at a time, and frames begin anywhere in them: what belongs to one turn of the event loop
   * reaches a socket in one system call, and wakes its reader once.
   */
  #cork(): void {
    if (this.#isCorked) return;
    this.#isCorked = true;
    this.#sink.cork();
    setImmediate(() => {
      this.#isCorked = false;
      this.#sink.uncork();
    });
  }

  #onEnd(): void {
    if (this.#state === 'stopped') return;
    if (this.#sink.writable) this.#sink.end();
    this.#listener?.onEnd();
  }
}
