/** The first two bytes of a frame: version 0, then the type. */
export const frameType = { data: 0, windowUpdate: 1, ping: 2, goAway: 3 } as const;
export type FrameType = (typeof frameType)[keyof typeof frameType];

/** Bits of the flags field. */
export const frameFlag = { syn: 1, ack: 2, fin: 4, rst: 8 } as const;
export const allFlags = 0xf;

/** What a GOAWAY frame carries as its length. */
export const goAwayCode = { normal: 0, protocolError: 1, internalError: 2 } as const;

export const headerBytes = 12;

/** Header and payload together fill two TLS records; small enough that nobody waits long behind a frame. */
export const maxPayloadBytes = 32 * 1024 - headerBytes;

/** What each side may send on a new stream before it hears of the other. */
export const initialWindowBytes = 256 * 1024;

/**
 * A frame without payload. Of a ping and a GOAWAY `id` is 0; `value` is the length field: a window's growth, a
 * ping's opaque value, a reason.
 * @see https://github.com/hashicorp/yamux/blob/master/spec.md
 */
export function encodeHeader(type: FrameType, flags: number, id: number, value: number): Buffer {
  const header = Buffer.allocUnsafe(headerBytes);
  writeHeader(header, (type << 16) | flags, id, value);
  return header;
}

/** A data frame in one buffer; worth its copy when the payload is small. */
export function encodeSmallData(flags: number, id: number, payload: Buffer): Buffer {
  const frame = Buffer.allocUnsafe(headerBytes + payload.length);
  writeHeader(frame, flags, id, payload.length);
  payload.copy(frame, headerBytes);
  return frame;
}

function writeHeader(target: Buffer, typeAndFlags: number, id: number, length: number): void {
  target.writeUInt32BE(typeAndFlags, 0);
  target.writeUInt32BE(id, 4);
  target.writeUInt32BE(length, 8);
}
