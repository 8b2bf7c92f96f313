import type { Duplex } from 'node:stream';
import { createWindowBudget } from '../window-budget.ts';
import { closeGently } from './close-gently.ts';
import { type FrameType, frameFlag, frameType, goAwayCode } from './frame.ts';
import { FrameDecoder, ProtocolError } from './frame-decoder.ts';
import { Inbound, type InboundHost } from './inbound.ts';
import { Liveness } from './liveness.ts';
import { type DataSource, Outbound } from './outbound.ts';
import { ProvenWindow } from './receive-window.ts';
import { StreamTable } from './stream-table.ts';
import type {
  SessionEnd,
  SessionStats,
  WindowBudget,
  YamuxOptions,
  YamuxSession,
  YamuxStream,
} from './types.ts';
import { connectionReset, type Stream, type StreamCarrier } from './yamux-stream.ts';

const defaults = {
  maxStreams: 4096,
  budgetBytes: 256 * 1024 * 1024,
  pingIntervalMs: 20_000,
  deadAfterMs: 45_000,
  firstFrameMs: 5_000,
};

/** While windows want to grow, the path is measured this often. */
const measureIntervalMs = 1000;

/**
 * Carries many streams over one connection. Symmetric but for the numbers of the streams. Its reader never waits,
 * neither for a writer nor for a stream's reader; flow control is each stream's own.
 * @see https://github.com/hashicorp/yamux/blob/master/spec.md
 */
export function createYamuxSession(options: YamuxOptions): YamuxSession {
  return new Session(options);
}

class Session implements YamuxSession, StreamCarrier, InboundHost {
  readonly ended: Promise<SessionEnd>;
  readonly budget: WindowBudget;
  nowMs = performance.now();
  readonly proven = new ProvenWindow();
  readonly #options: YamuxOptions;
  readonly #transport: Duplex;
  readonly #outbound: Outbound;
  readonly #streams: StreamTable;
  readonly #inbound: Inbound;
  readonly #decoder: FrameDecoder;
  readonly #liveness: Liveness;
  readonly #resolveEnded: (end: SessionEnd) => void;
  #end: SessionEnd | undefined;
  #bytesSent = 0;
  #isPeerDraining = false;
  /** The ping that follows our GOAWAY; with its answer, everything that the peer opened before it has arrived. */
  #drainPing: number | undefined;
  #isDrainConfirmed = false;

  constructor(options: YamuxOptions) {
    const { promise, resolve } = Promise.withResolvers<SessionEnd>();
    this.ended = promise;
    this.#resolveEnded = resolve;
    this.#options = options;
    this.budget = options.budget ?? createWindowBudget(defaults.budgetBytes);
    this.#transport = options.transport;
    this.#outbound = new Outbound(options.transport, () => {
      this.#finish('protocol', 'the peer asks for answers and does not read them');
    });
    this.#streams = new StreamTable(options.role, this);
    this.#inbound = new Inbound(this, this.#streams);
    this.#decoder = new FrameDecoder(this.#inbound);
    this.#liveness = new Liveness({
      pingIntervalMs: options.pingIntervalMs ?? defaults.pingIntervalMs,
      deadAfterMs: options.deadAfterMs ?? defaults.deadAfterMs,
      firstFrameMs: options.firstFrameMs ?? defaults.firstFrameMs,
      random: options.random ?? Math.random,
      sendPing: (value) => this.sendControl(frameType.ping, frameFlag.syn, 0, value),
      onDead: (message) => this.#finish('timeout', message),
    });
    this.#listen();
    this.#liveness.start();
  }

  get streams(): number {
    return this.#streams.size;
  }

  get isOpen(): boolean {
    return this.#end === undefined && !this.#isDraining && !this.#isPeerDraining;
  }

  openStream(): YamuxStream {
    if (this.#end !== undefined) throw new Error(`the session is over: ${this.#end.message}`);
    if (!this.isOpen) throw new Error('the session is draining');
    if (this.#isFull) throw new Error(`the session has ${this.#streams.size} streams open`);
    return this.#streams.open();
  }

  drain(): void {
    if (this.#end !== undefined || this.#isDraining) return;
    this.sendControl(frameType.goAway, 0, 0, goAwayCode.normal);
    this.#drainPing = this.#liveness.ping();
  }

  destroy(message: string): void {
    this.#finish('closed', message, goAwayCode.normal);
  }

  stats(): SessionStats {
    const { rttMs, lastFrameAtMs } = this.#liveness;
    return {
      streams: this.#streams.size,
      bytesSent: this.#bytesSent,
      bytesReceived: this.#inbound.bytesReceived,
      ...(rttMs === undefined ? {} : { rttMs }),
      lastFrameAtMs,
    };
  }

  // For the streams.

  get growthMs(): number {
    return this.#liveness.growthMs;
  }

  sendControl(type: FrameType, flags: number, id: number, value: number): void {
    this.#outbound.sendControl(type, flags, id, value);
  }

  sendControlWithNext(type: FrameType, flags: number, id: number, value: number): void {
    this.#outbound.sendControlWithNext(type, flags, id, value);
  }

  sendData(flags: number, id: number, payload: Buffer): void {
    this.#bytesSent += payload.length;
    this.#outbound.sendData(flags, id, payload);
  }

  hasRoomFor(payloadBytes: number): boolean {
    return this.#outbound.hasRoomFor(payloadBytes);
  }

  waitForRoom(source: DataSource): void {
    this.#outbound.waitForRoom(source);
  }

  measure(): void {
    this.#liveness.pingIfOlder(measureIntervalMs, this.nowMs);
  }

  forget(stream: Stream, windowLeft: number): void {
    this.#outbound.stopWaiting(stream);
    this.#streams.remove(stream, windowLeft);
    this.#endWhenDrained();
  }

  // For the frames that arrive.

  heard(): void {
    const isFirst = !this.#liveness.hasHeard;
    this.#liveness.heard(this.nowMs);
    if (isFirst) this.#options.onPeerFrame?.();
  }

  answerPing(value: number): void {
    this.sendControl(frameType.ping, frameFlag.ack, 0, value);
  }

  onPong(value: number): void {
    this.#liveness.onPong(value);
    if (value !== this.#drainPing) return;
    this.#isDrainConfirmed = true;
    this.#endWhenDrained();
  }

  onDrain(): void {
    if (this.#isPeerDraining) return;
    this.#isPeerDraining = true;
    this.#streams.destroyHeld();
    this.#options.onPeerDrain?.();
  }

  accept(id: number): Stream | undefined {
    const { onStream } = this.#options;
    if (onStream === undefined)
      throw new ProtocolError(`the peer opened stream ${id}, which it may not`);
    const stream = this.#streams.accept(id, !this.#isFull && !this.#isDrainConfirmed);
    if (stream !== undefined) onStream(stream);
    return stream;
  }

  get #isDraining(): boolean {
    return this.#drainPing !== undefined;
  }

  get #isFull(): boolean {
    return this.#streams.size >= (this.#options.maxStreams ?? defaults.maxStreams);
  }

  #listen(): void {
    const transport = this.#transport;
    transport.on('data', (chunk: Buffer) => this.#onData(chunk));
    transport.on('error', (error) =>
      this.#finish('transport', `the connection broke: ${error.message}`),
    );
    const onClosed = () => {
      const isExpected = this.#isPeerDraining || (this.#isDraining && this.#streams.size === 0);
      this.#finish(isExpected ? 'closed' : 'transport', 'the peer closed the connection');
    };
    transport.on('end', onClosed);
    transport.on('close', onClosed);
  }

  #onData(chunk: Buffer): void {
    this.nowMs = performance.now();
    try {
      this.#decoder.decode(chunk);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.#finish('protocol', error.message, goAwayCode.protocolError);
    }
  }

  #endWhenDrained(): void {
    if (this.#isDrainConfirmed && this.#streams.size === 0) this.#finish('closed', 'drained');
  }

  /** The one way out; only the first call counts. */
  #finish(cause: SessionEnd['cause'], message: string, goAway?: number): void {
    if (this.#end !== undefined) return;
    this.#end = { cause, message };
    this.#decoder.stop();
    this.#liveness.stop();
    if (goAway !== undefined) this.sendControl(frameType.goAway, 0, 0, goAway);
    this.#outbound.stop();
    for (const stream of this.#streams.all()) {
      // What has arrived whole can still be read.
      if (!stream.isComplete)
        stream.destroy(connectionReset(`the tunnel session is over: ${message}`));
    }
    if (cause === 'transport' || cause === 'timeout') this.#transport.destroy();
    else closeGently(this.#transport);
    this.#resolveEnded(this.#end);
  }
}
