import { initialWindowBytes } from './frame.ts';
import { ProtocolError } from './frame-decoder.ts';

/** What a peer that has not yet heard of a stream's end may still say about it, besides data: window updates, FIN, RST. */
const framesPerStream = 64;

/**
 * Frames for streams that are gone are normal, while the news of it travels, and ignored. Each stream that ends
 * allows for as many as an honest peer can have sent by then; who sends more is after something else.
 */
export class StrayFrames {
  #framesLeft = framesPerStream;
  #bytesLeft = initialWindowBytes;

  /** `windowLeft`: what the peer was still allowed to send on the stream. */
  allowFor(windowLeft: number): void {
    // Sums of a session that lives for years stay exact.
    this.#framesLeft = Math.min(this.#framesLeft + framesPerStream, Number.MAX_SAFE_INTEGER);
    this.#bytesLeft = Math.min(this.#bytesLeft + windowLeft, Number.MAX_SAFE_INTEGER);
  }

  /** @throws ProtocolError when the peer has sent too many. */
  count(id: number, payloadBytes: number): void {
    this.#framesLeft -= 1;
    this.#bytesLeft -= payloadBytes;
    if (this.#framesLeft >= 0 && this.#bytesLeft >= 0) return;
    throw new ProtocolError(`the peer goes on sending for streams that are closed, now ${id}`);
  }
}
