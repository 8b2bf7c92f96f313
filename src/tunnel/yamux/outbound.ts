import type { Duplex } from 'node:stream';
import { encodeHeader, encodeSmallData, type FrameType } from './frame.ts';

/** Data waits above this, in the transport's own queue: about what one turn of the event loop gets rid of. */
const queueBytes = 64 * 1024;
/** An echo does not wait behind bulk: it may still join the queue when that is full. */
const smallBytes = 1024;
const queueBytesForSmall = 2 * queueBytes;
/** Control frames never wait. A peer that makes us send them and does not read is told apart by this much. */
const maxQueueBytes = 1024 * 1024;
/** What nobody waits for may wait this long for company: about as long as a connection within a node takes. */
const companyMs = 5;

/** What waits for room in the transport. */
export interface DataSource {
  /** Sends at most one frame. True: it has more that it may send. */
  sendFrame(): boolean;
}

/**
 * The sending half of a session. Frames of one turn go out together at its end; data stops when the transport is
 * full, and the streams then take turns, one frame each.
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
    this.#write(encodeHeader(type, flags, id, value));
    if (this.#transport.writableLength <= this.#queueBytes + maxQueueBytes) return;
    this.stop();
    this.#onOverflow();
  }

  /** The same for what nobody waits for: it saves a system call here, and wakes the other end once less. */
  sendControlWithNext(type: FrameType, flags: number, id: number, value: number): void {
    if (this.#isStopped) return;
    this.#companions.push(encodeHeader(type, flags, id, value));
    this.#companionTimer ??= setTimeout(() => this.#sendCompanions(), companyMs);
  }

  /** Only when there is room for it. */
  sendData(flags: number, id: number, payload: Buffer): void {
    if (this.#isStopped) return;
    if (payload.length <= smallBytes) {
      this.#write(encodeSmallData(flags, id, payload));
      return;
    }
    this.#write(encodeHeader(0, flags, id, payload.length));
    this.#write(payload);
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
    for (const frame of companions) this.#write(frame);
  }

  #write(bytes: Buffer): void {
    if (this.#companionTimer !== undefined) this.#sendCompanions();
    if (!this.#isCorked) {
      this.#isCorked = true;
      this.#transport.cork();
      process.nextTick(() => this.#flush());
    }
    this.#transport.write(bytes);
  }

  #flush(): void {
    if (!this.#isCorked) return;
    this.#isCorked = false;
    this.#transport.uncork();
  }
}
