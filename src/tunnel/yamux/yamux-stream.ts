import { Duplex } from 'node:stream';
import {
  type FrameType,
  frameFlag,
  frameType,
  initialWindowBytes,
  maxPayloadBytes,
} from './frame.ts';
import { ProtocolError } from './frame-decoder.ts';
import type { DataSource } from './outbound.ts';
import { ReceiveQueue } from './receive-queue.ts';
import { type Pace, ReceiveWindow } from './receive-window.ts';
import type { WindowBudget, YamuxStream } from './types.ts';

type Callback = (error?: Error | null) => void;

const maxCredit = 0xffff_ffff;

/** What a net.Socket says when its peer is gone. */
export function connectionReset(message: string): Error {
  return Object.assign(new Error(message), { code: 'ECONNRESET' });
}

/** What a stream needs of its session. */
export interface StreamCarrier extends Pace {
  readonly budget: WindowBudget;
  sendControl(type: FrameType, flags: number, id: number, value: number): void;
  /** May wait a few milliseconds for another frame. */
  sendControlWithNext(type: FrameType, flags: number, id: number, value: number): void;
  sendData(flags: number, id: number, payload: Buffer): void;
  hasRoomFor(payloadBytes: number): boolean;
  waitForRoom(source: DataSource): void;
  /** A round of a window's growth ended here: a good time to measure the path. */
  measure(): void;
  /** The stream is destroyed; `windowLeft` is what the peer may still send for it. */
  forget(stream: Stream, windowLeft: number): void;
}

/**
 * Both halves of a stream. Received data goes straight to a reader that wants it and waits in a queue of ours
 * otherwise; `Readable` itself never holds more than one part.
 */
export class Stream extends Duplex implements YamuxStream, DataSource {
  readonly id: number;
  bytesRead = 0;
  bytesWritten = 0;
  /** The peer has not said ACK to our SYN. */
  isUnanswered = false;
  /** Its SYN was not sent yet, so nothing else may be. */
  isHeld = false;
  readonly #carrier: StreamCarrier;
  readonly #window: ReceiveWindow;
  #queue: ReceiveQueue | undefined;
  #isReaderWaiting = false;
  #credit = initialWindowBytes;
  #pending: Buffer | undefined;
  #afterPending: Callback | undefined;
  #afterFin: Callback | undefined;
  #hasSentFin = false;
  #hasReceivedFin = false;
  #wasReset = false;
  #isTakingTurn = false;

  constructor(id: number, carrier: StreamCarrier) {
    super({ allowHalfOpen: true, readableHighWaterMark: 1 });
    this.id = id;
    this.#carrier = carrier;
    this.#window = new ReceiveWindow(carrier.budget);
  }

  get unreadBytes(): number {
    return this.readableLength + (this.#queue?.bytes ?? 0);
  }

  /** Nothing more can come or go. */
  get isComplete(): boolean {
    return this.#hasSentFin && this.#hasReceivedFin;
  }

  destroySoon(): void {
    if (this.writable) this.end();
    if (this.writableFinished) this.destroy();
    else this.once('finish', () => this.destroy());
  }

  resetAndDestroy(): this {
    return this.destroy();
  }

  /** The SYN is out: whatever waited for it goes after it. */
  release(): void {
    this.isHeld = false;
    this.#send();
    const afterFin = this.#afterFin;
    if (afterFin !== undefined) this._final(afterFin);
  }

  /** A data frame's header has arrived. @throws ProtocolError when it is larger than it may be. */
  acceptPayload(length: number): void {
    if (this.#window.accept(length, this.#carrier)) return;
    throw new ProtocolError(
      `the peer overran the window of stream ${this.id}: ${length} bytes where ${this.#window.left} were left`,
    );
  }

  /** A part of an accepted data frame. After FIN or in a destroyed stream it goes nowhere. */
  receive(part: Buffer): void {
    if (this.#hasReceivedFin || this.destroyed) return;
    this.bytesRead += part.length;
    if (this.#isReaderWaiting) {
      this.#hand(part);
      return;
    }
    this.#queue ??= new ReceiveQueue();
    this.#queue.add(part);
  }

  receiveFin(): void {
    if (this.#hasReceivedFin) return;
    this.#hasReceivedFin = true;
    this.#endWhenRead();
  }

  receiveReset(): void {
    this.#wasReset = true;
    this.destroy(connectionReset(`stream ${this.id} was reset by the peer`));
  }

  /** @throws ProtocolError when the sum does not fit the protocol's 32 bits. */
  addCredit(bytes: number): void {
    this.#credit += bytes;
    if (this.#credit > maxCredit) {
      throw new ProtocolError(`the peer raised the window of stream ${this.id} above 4 GiB`);
    }
    if (this.#pending !== undefined) this.#send();
  }

  sendFrame(): boolean {
    const pending = this.#pending;
    const length = this.#sendableBytes();
    if (pending === undefined || length === 0) return false;
    this.#credit -= length;
    this.bytesWritten += length;
    if (length < pending.length) {
      this.#pending = pending.subarray(length);
      this.#carrier.sendData(0, this.id, pending.subarray(0, length));
    } else {
      this.#carrier.sendData(0, this.id, pending);
      this.#finishPending();
    }
    return this.#sendableBytes() > 0;
  }

  /** `Writable` hands over its next chunk from within the callback: it waits for this stream's next turn. */
  #finishPending(): void {
    const done = this.#afterPending;
    this.#pending = undefined;
    this.#afterPending = undefined;
    this.#isTakingTurn = true;
    done?.();
    this.#isTakingTurn = false;
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: Callback): void {
    if (chunk.length === 0) {
      done();
      return;
    }
    this.#pending = chunk;
    this.#afterPending = done;
    this.#send();
  }

  override _final(done: Callback): void {
    if (this.isHeld) {
      this.#afterFin = done;
      return;
    }
    this.#afterFin = undefined;
    this.#hasSentFin = true;
    this.#carrier.sendControl(frameType.windowUpdate, frameFlag.fin, this.id, 0);
    done();
  }

  override _read(): void {
    this.#isReaderWaiting = true;
    while (this.#isReaderWaiting) {
      const part = this.#queue?.take();
      if (part === undefined) break;
      this.#hand(part);
    }
    this.#endWhenRead();
  }

  override _destroy(error: Error | null, done: Callback): void {
    const wantsReset = !(this.isHeld || this.#wasReset || this.isComplete);
    if (wantsReset) this.#carrier.sendControl(frameType.windowUpdate, frameFlag.rst, this.id, 0);
    this.#pending = undefined;
    this.#queue = undefined;
    this.#window.close();
    this.#carrier.forget(this, wantsReset ? this.#window.left : 0);
    if (this.#afterPending !== undefined || this.#afterFin !== undefined) {
      const reason = error ?? new Error(`stream ${this.id} was destroyed`);
      this.#afterPending?.(reason);
      this.#afterFin?.(reason);
    }
    done(error);
  }

  #send(): void {
    if (this.#isTakingTurn) return;
    for (let bytes = this.#sendableBytes(); bytes > 0; bytes = this.#sendableBytes()) {
      if (!this.#carrier.hasRoomFor(bytes)) {
        this.#carrier.waitForRoom(this);
        return;
      }
      this.sendFrame();
    }
  }

  #sendableBytes(): number {
    if (this.#pending === undefined || this.isHeld) return 0;
    return Math.min(this.#pending.length, this.#credit, maxPayloadBytes);
  }

  #hand(part: Buffer): void {
    // `push` may run the reader, which may end everything.
    this.#isReaderWaiting = false;
    const wantsMore = this.push(part);
    if (wantsMore) this.#isReaderWaiting = true;
    if (this.#hasReceivedFin || this.destroyed) return;
    const grant = this.#window.consume(part.length, this.#queue?.bytes ?? 0, this.#carrier);
    if (grant === 0) return;
    this.#carrier.measure();
    this.#carrier.sendControl(frameType.windowUpdate, 0, this.id, grant);
  }

  #endWhenRead(): void {
    if (this.#hasReceivedFin && (this.#queue?.bytes ?? 0) === 0) this.push(null);
  }
}
