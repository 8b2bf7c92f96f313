import { type FrameType, frameFlag, frameType, goAwayCode } from './frame.ts';
import { type FrameSink, ProtocolError } from './frame-decoder.ts';
import type { StreamTable } from './stream-table.ts';
import type { Stream } from './yamux-stream.ts';

/** What frames can mean for the session as a whole. */
export interface InboundHost {
  heard(): void;
  answerPing(value: number): void;
  onPong(value: number): void;
  onDrain(): void;
  /** @throws ProtocolError when the peer may not open streams. */
  accept(id: number): Stream | undefined;
}

const goAwayReasons = new Map<number, string>([
  [goAwayCode.protocolError, 'the peer ends the session: protocol error'],
  [goAwayCode.internalError, 'the peer ends the session: internal error'],
]);

/** Gives each frame to whom it concerns. */
export class Inbound implements FrameSink {
  bytesReceived = 0;
  readonly #host: InboundHost;
  readonly #streams: StreamTable;
  /** Gets the payload that is arriving; undefined: nobody does. */
  #receiver: Stream | undefined;
  #endsWithFin = false;

  constructor(host: InboundHost, streams: StreamTable) {
    this.#host = host;
    this.#streams = streams;
  }

  onFrame(type: FrameType, flags: number, id: number, length: number): void {
    this.#host.heard();
    switch (type) {
      case frameType.data:
        this.#onData(flags, id, length);
        return;
      case frameType.windowUpdate:
        this.#onWindowUpdate(flags, id, length);
        return;
      case frameType.ping:
        if (flags === frameFlag.syn) this.#host.answerPing(length);
        else this.#host.onPong(length);
        return;
      case frameType.goAway:
        this.#onGoAway(length);
    }
  }

  onPayload(bytes: Buffer): void {
    this.#host.heard();
    this.bytesReceived += bytes.length;
    this.#receiver?.receive(bytes);
  }

  onPayloadEnd(): void {
    if (this.#endsWithFin) this.#receiver?.receiveFin();
    this.#receiver = undefined;
  }

  #onData(flags: number, id: number, length: number): void {
    const stream = this.#streamOf(flags, id, length);
    stream?.acceptPayload(length);
    const wasReset = (flags & frameFlag.rst) !== 0;
    if (wasReset) stream?.receiveReset();
    this.#receiver = wasReset ? undefined : stream;
    this.#endsWithFin = (flags & frameFlag.fin) !== 0;
  }

  #onWindowUpdate(flags: number, id: number, growth: number): void {
    const stream = this.#streamOf(flags, id, 0);
    if (stream === undefined) return;
    if (growth > 0) stream.addCredit(growth);
    if ((flags & frameFlag.rst) !== 0) stream.receiveReset();
    else if ((flags & frameFlag.fin) !== 0) stream.receiveFin();
  }

  #streamOf(flags: number, id: number, payloadBytes: number): Stream | undefined {
    const isNew = (flags & frameFlag.syn) !== 0;
    const stream =
      (isNew ? this.#host.accept(id) : undefined) ?? this.#streams.find(id, payloadBytes);
    if (stream !== undefined && (flags & frameFlag.ack) !== 0) this.#streams.markAnswered(stream);
    return stream;
  }

  #onGoAway(code: number): void {
    if (code === goAwayCode.normal) {
      this.#host.onDrain();
      return;
    }
    throw new ProtocolError(
      goAwayReasons.get(code) ?? `the peer sent GOAWAY with unknown code ${code}`,
    );
  }
}
