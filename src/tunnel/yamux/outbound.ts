import type { Duplex } from 'node:stream';
import { encodeHeader, encodeSmallData, type FrameType } from './frame.ts';

/** Data waits above this, in the transport's own queue: about what one turn of the event loop gets rid of. */
const queueBytes = 64 * 1024;
/** An echo does not wait behind bulk: it may still join the queue when that is full. */
const smallBytes = 1024;
const queueBytesForSmall = 2 * queueBytes;
/** Control frames never wait. A peer that makes us send them and does not read is told apart by this much. */
const maxQueueBytes = 1024 * 1024;
/** Small frames that go out together at most: the other end begins with the first ones while this end makes the rest. */
const batchFrames = 16;
/** What nobody waits for may wait this long for company: about as long as a connection within a node takes. */
const companyMs = 5;

/** What waits for room in the transport. */
export interface DataSource {
  /** Sends at most one frame. True: it has more that it may send. */
  sendFrame(): boolean;
}

/**
 * The sending half of a session. Small frames of one turn of the event loop go out together, some at a time: each TLS
 * record costs both ends a system call and a turn of their own. Data stops when the transport is full, and the streams
 * then take turns, one frame each.
 */
export class Outbound {
  readonly #transport: Duplex;
  readonly #onOverflow: () => void;
  readonly #queueBytes: number;
  readonly #waiting = new Set<DataSource>();
  /** Frames that go with the next one. */
  #companions: Buffer[] = [];
  #companionTimer: NodeJS.Timeout | undefined;
  #isCorked = false;
  /** Since the last time that anything went out. */
  #smallFrames = 0;
  #isFlushPlanned = false;
  readonly #flushAsPlanned = () => {
    this.#isFlushPlanned = false;
    this.#flush();
  };
  #isStopped = false;

  /** `onOverflow`: the peer does not read what it asks for. Called once, from within a send. */
  constructor(transport: Duplex, onOverflow: () => void) {
    this.#transport = transport;
    this.#onOverflow = onOverflow;
    // Not below the transport's own mark: it says `drain` only when that was passed.
    this.#queueBytes = Math.max(queueBytes, transport.writableHighWaterMark);
    transport.on('drain', () => this.#takeTurns());
  }

  sendControl(type: FrameType, flags: number, id: number, value: number): void {
    if (this.#isStopped) return;
    this.#writeSmall(encodeHeader(type, flags, id, value));
    this.#stopWhenOverflowing();
  }

  /** The same for what nobody waits for: it saves a system call here, and wakes the other end once less. */
  sendControlWithNext(type: FrameType, flags: number, id: number, value: number): void {
    if (this.#isStopped) return;
    this.#companions.push(encodeHeader(type, flags, id, value));
    this.#companionTimer ??= setTimeout(() => this.#sendCompanions(), companyMs);
    this.#stopWhenOverflowing();
  }

  /** Only when there is room for it. */
  sendData(flags: number, id: number, payload: Buffer): void {
    if (this.#isStopped) return;
    if (payload.length <= smallBytes) {
      this.#writeSmall(encodeSmallData(flags, id, payload));
      return;
    }
    this.#cork();
    this.#transport.write(encodeHeader(0, flags, id, payload.length));
    this.#transport.write(payload);
    process.nextTick(() => this.#flush());
  }

  hasRoomFor(payloadBytes: number): boolean {
    const queued = this.#transport.writableLength;
    if (queued < this.#queueBytes) return true;
    return payloadBytes <= smallBytes && queued < this.#queueBytes + queueBytesForSmall;
  }

  waitForRoom(source: DataSource): void {
    this.#waiting.add(source);
  }

  stopWaiting(source: DataSource): void {
    this.#waiting.delete(source);
  }

  /** Sends what is written in this turn now, and nothing after it. */
  stop(): void {
    this.#sendCompanions();
    this.#isStopped = true;
    this.#waiting.clear();
    this.#flush();
  }

  #stopWhenOverflowing(): void {
    if (this.#transport.writableLength <= this.#queueBytes + maxQueueBytes) return;
    this.stop();
    this.#onOverflow();
  }

  #takeTurns(): void {
    // A set hands out what was added during the loop, too: the next turn comes after everybody else's.
    for (const source of this.#waiting) {
      if (this.#isStopped || this.#transport.writableLength >= this.#queueBytes) return;
      this.#waiting.delete(source);
      if (source.sendFrame()) this.#waiting.add(source);
    }
  }

  #sendCompanions(): void {
    clearTimeout(this.#companionTimer);
    this.#companionTimer = undefined;
    const companions = this.#companions;
    this.#companions = [];
    for (const frame of companions) this.#writeSmall(frame);
  }

  #writeSmall(frame: Buffer): void {
    this.#cork();
    this.#transport.write(frame);
    this.#smallFrames += 1;
    if (this.#smallFrames >= batchFrames) this.#flush();
    if (this.#isFlushPlanned || !this.#isCorked) return;
    this.#isFlushPlanned = true;
    setImmediate(this.#flushAsPlanned);
  }

  #cork(): void {
    if (this.#companionTimer !== undefined) this.#sendCompanions();
    if (this.#isCorked) return;
    this.#isCorked = true;
    this.#transport.cork();
  }

  #flush(): void {
    if (!this.#isCorked) return;
    this.#isCorked = false;
    this.#smallFrames = 0;
    this.#transport.uncork();
  }
}
