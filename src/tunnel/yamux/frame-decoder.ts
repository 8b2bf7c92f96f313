import { allFlags, type FrameType, frameFlag, frameType, headerBytes } from './frame.ts';

/** The peer broke the rules; the message says how. The session ends with it. */
export class ProtocolError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'ProtocolError';
  }
}

export interface FrameSink {
  /** `length` bytes of payload follow when it is a data frame. May throw ProtocolError. */
  onFrame(type: FrameType, flags: number, id: number, length: number): void;
  /** The next part of the payload of the last data frame; a view, not a copy. */
  onPayload(bytes: Buffer): void;
  /** After the last part; also after a data frame without payload. */
  onPayloadEnd(): void;
}

/** Cuts a byte stream into frames wherever its chunks begin and end, and copies nothing but split headers. */
export class FrameDecoder {
  readonly #sink: FrameSink;
  /** The first bytes of a header whose rest is still to come. */
  #partialHeader: Buffer | undefined;
  #payloadLeft = 0;
  #isStopped = false;

  constructor(sink: FrameSink) {
    this.#sink = sink;
  }

  /** @throws ProtocolError for a header that the specification does not know, and what the sink throws. */
  decode(chunk: Buffer): void {
    let offset = 0;
    while (offset < chunk.length && !this.#isStopped) {
      offset =
        this.#payloadLeft > 0 ? this.#passPayload(chunk, offset) : this.#passHeader(chunk, offset);
    }
  }

  /** Nothing of the chunk that is being decoded, or of any later one, reaches the sink any more. */
  stop(): void {
    this.#isStopped = true;
  }

  #passPayload(chunk: Buffer, offset: number): number {
    const end = Math.min(chunk.length, offset + this.#payloadLeft);
    this.#payloadLeft -= end - offset;
    const isWhole = offset === 0 && end === chunk.length;
    this.#sink.onPayload(isWhole ? chunk : chunk.subarray(offset, end));
    if (this.#payloadLeft === 0 && !this.#isStopped) this.#sink.onPayloadEnd();
    return end;
  }

  #passHeader(chunk: Buffer, offset: number): number {
    const partial = this.#partialHeader;
    if (partial === undefined && chunk.length - offset >= headerBytes) {
      this.#readHeader(chunk, offset);
      return offset + headerBytes;
    }
    const missing = headerBytes - (partial?.length ?? 0);
    const end = Math.min(chunk.length, offset + missing);
    const known = chunk.subarray(offset, end);
    // A copy also where nothing is joined: a few bytes must not keep a whole chunk alive until the rest arrives.
    const header = Buffer.concat(partial === undefined ? [known] : [partial, known]);
    this.#partialHeader = header.length < headerBytes ? header : undefined;
    if (header.length === headerBytes) this.#readHeader(header, 0);
    return end;
  }

  #readHeader(bytes: Buffer, offset: number): void {
    const first = bytes.readUInt32BE(offset);
    const id = bytes.readUInt32BE(offset + 4);
    const length = bytes.readUInt32BE(offset + 8);
    const type = requireType(first >>> 16);
    const flags = first & 0xffff;
    requireShape(type, flags, id);
    if (type === frameType.data) this.#payloadLeft = length;
    this.#sink.onFrame(type, flags, id, length);
    if (type === frameType.data && length === 0 && !this.#isStopped) this.#sink.onPayloadEnd();
  }
}

function requireType(versionAndType: number): FrameType {
  switch (versionAndType) {
    case frameType.data:
    case frameType.windowUpdate:
    case frameType.ping:
    case frameType.goAway:
      return versionAndType;
    default:
      throw new ProtocolError(
        versionAndType > 0xff
          ? `the peer sent a frame of version ${versionAndType >>> 8}: only 0 is known`
          : `the peer sent a frame of unknown type ${versionAndType}`,
      );
  }
}

/** Stream frames name a stream, the others none. */
function requireShape(type: FrameType, flags: number, id: number): void {
  const isOfSession = type === frameType.ping || type === frameType.goAway;
  if (isOfSession !== (id === 0)) {
    throw new ProtocolError(`the peer sent a frame of type ${type} for stream ${id}`);
  }
  if ((flags & ~allFlags) !== 0) {
    throw new ProtocolError(`the peer sent unknown flags 0x${flags.toString(16)}`);
  }
  if (type === frameType.ping && flags !== frameFlag.syn && flags !== frameFlag.ack) {
    throw new ProtocolError(`the peer sent a ping with flags 0x${flags.toString(16)}`);
  }
}
