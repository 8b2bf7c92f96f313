import { ownCopy } from '../own-copy.ts';

/** Parts below this share a block, so that their bookkeeping does not outweigh them. */
const smallBytes = 1024;
const blockBytes = 4 * 1024;

/**
 * What a stream has received and nobody has read yet. It costs about what it holds, whatever sizes the peer
 * chooses: small parts, which would keep the whole chunk alive that they are views of, are copied together.
 */
export class ReceiveQueue {
  #parts: Buffer[] = [];
  /** The last part's memory, while it has room. */
  #block: Buffer | undefined;
  #bytes = 0;

  get bytes(): number {
    return this.#bytes;
  }

  add(part: Buffer): void {
    this.#bytes += part.length;
    if (part.length < smallBytes) {
      this.#append(part);
      return;
    }
    this.#block = undefined;
    const isMostOfItsMemory = part.length * 2 >= part.buffer.byteLength;
    this.#parts.push(isMostOfItsMemory ? part : ownCopy(part));
  }

  /** The oldest part, or undefined when there is none. */
  take(): Buffer | undefined {
    const part = this.#parts.shift();
    if (part === undefined) return undefined;
    this.#bytes -= part.length;
    // The reader has it now: it must not grow.
    if (this.#parts.length === 0) this.#block = undefined;
    return part;
  }

  clear(): void {
    this.#parts = [];
    this.#block = undefined;
    this.#bytes = 0;
  }

  #append(part: Buffer): void {
    const tail = this.#parts.at(-1);
    const block = this.#block;
    if (tail !== undefined && block !== undefined && tail.length + part.length <= block.length) {
      part.copy(block, tail.length);
      this.#parts[this.#parts.length - 1] = block.subarray(0, tail.length + part.length);
      return;
    }
    this.#block = Buffer.allocUnsafeSlow(blockBytes);
    part.copy(this.#block);
    this.#parts.push(this.#block.subarray(0, part.length));
  }
}
