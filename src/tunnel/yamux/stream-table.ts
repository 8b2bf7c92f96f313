import { frameFlag, frameType, initialWindowBytes } from './frame.ts';
import { ProtocolError } from './frame-decoder.ts';
import { PeerIds } from './peer-ids.ts';
import { StrayFrames } from './stray-frames.ts';
import { StreamIndex } from './stream-index.ts';
import { connectionReset, Stream, type StreamCarrier } from './yamux-stream.ts';

/** The reference implementation resets what comes while so many streams wait for its ACK. */
const maxUnanswered = 256;
const maxId = 0xffff_ffff;

/** The open streams of a session, the numbers of new ones, and what may still come for old ones. */
export class StreamTable {
  readonly #carrier: StreamCarrier;
  readonly #streams = new StreamIndex<Stream>();
  readonly #peerIds: PeerIds;
  readonly #strays = new StrayFrames();
  /** Opened, but the peer has enough that it has not answered: their SYN waits. Oldest first. */
  readonly #held = new Set<Stream>();
  #unanswered = 0;
  #nextId: number;

  constructor(role: 'client' | 'server', carrier: StreamCarrier) {
    this.#carrier = carrier;
    this.#nextId = role === 'client' ? 1 : 2;
    this.#peerIds = new PeerIds(role === 'client' ? 2 : 1);
  }

  get size(): number {
    return this.#streams.size;
  }

  all(): readonly Stream[] {
    return this.#streams.all();
  }

  /** @throws Error when a session has used all its numbers: 2^31 streams. */
  open(): Stream {
    const id = this.#nextId;
    if (id > maxId) throw new Error('the session has used all stream numbers');
    this.#nextId += 2;
    const stream = new Stream(id, this.#carrier);
    this.#streams.set(stream);
    if (this.#unanswered < maxUnanswered && this.#held.size === 0) {
      this.#sendSyn(stream);
      return stream;
    }
    stream.isHeld = true;
    this.#held.add(stream);
    return stream;
  }

  /** Takes a stream of the peer's in, or answers it with RST. @throws ProtocolError for a wrong number. */
  accept(id: number, isWelcome: boolean): Stream | undefined {
    this.#peerIds.open(id);
    if (!isWelcome) {
      this.#carrier.sendControl(frameType.windowUpdate, frameFlag.rst, id, 0);
      this.#strays.allowFor(initialWindowBytes);
      return undefined;
    }
    const stream = new Stream(id, this.#carrier);
    this.#streams.set(stream);
    // The stream's first answer is on its way already, most often: a connection that was made, or refused.
    this.#carrier.sendControlWithNext(frameType.windowUpdate, frameFlag.ack, id, 0);
    return stream;
  }

  /**
   * The stream a frame without SYN is for; undefined when it is closed already.
   * @throws ProtocolError when it was never opened, or too many frames come for closed ones.
   */
  find(id: number, payloadBytes: number): Stream | undefined {
    const stream = this.#streams.get(id);
    if (stream === undefined ? !this.#wasOpened(id) : stream.isHeld) {
      throw new ProtocolError(`the peer sent a frame for stream ${id}, which nobody opened`);
    }
    if (stream === undefined) this.#strays.count(id, payloadBytes);
    return stream;
  }

  /** The peer said ACK, or anything else that shows that it knows the stream. */
  markAnswered(stream: Stream): void {
    if (!stream.isUnanswered) return;
    stream.isUnanswered = false;
    this.#unanswered -= 1;
    this.#releaseHeld();
  }

  remove(stream: Stream, windowLeft: number): void {
    if (!this.#streams.delete(stream.id)) return;
    if (this.#held.delete(stream)) return;
    this.#strays.allowFor(windowLeft);
    this.markAnswered(stream);
  }

  /** The peer takes no more streams. */
  destroyHeld(): void {
    for (const stream of [...this.#held]) {
      stream.destroy(connectionReset('the other side of the tunnel takes no more streams'));
    }
  }

  #wasOpened(id: number): boolean {
    return this.#peerIds.isPeers(id) ? this.#peerIds.wasOpened(id) : id < this.#nextId;
  }

  #releaseHeld(): void {
    for (const stream of this.#held) {
      if (this.#unanswered >= maxUnanswered) return;
      this.#held.delete(stream);
      this.#sendSyn(stream);
      stream.release();
    }
  }

  #sendSyn(stream: Stream): void {
    this.#unanswered += 1;
    stream.isUnanswered = true;
    this.#carrier.sendControl(frameType.windowUpdate, frameFlag.syn, stream.id, 0);
  }
}
