/** A line longer than this is cut, so that one bad line cannot take the memory. */
export const maxLineBytes = 4096;

const newline = 0x0a;

/** Bytes in, lines out. A class because it keeps an unfinished line between chunks. */
export class LineSplitter {
  readonly #onLine: (line: string) => void;
  #pending: Buffer = Buffer.alloc(0);
  #isCutting = false;

  /** `onLine` receives lines without their newline, at most 4 KiB of each; empty lines are left out. */
  constructor(onLine: (line: string) => void) {
    this.#onLine = onLine;
  }

  /** The chunk may be reused by the caller afterwards. */
  push(chunk: Buffer): void {
    let from = 0;
    for (;;) {
      const end = chunk.indexOf(newline, from);
      if (end === -1) break;
      this.#append(chunk.subarray(from, end));
      this.flush();
      from = end + 1;
    }
    this.#append(chunk.subarray(from));
  }

  /** Ends the current line, as a newline would. */
  flush(): void {
    const text = this.#pending.toString('utf8').trimEnd();
    const line = this.#isCutting ? `${text}…` : text;
    this.#pending = Buffer.alloc(0);
    this.#isCutting = false;
    if (line !== '') this.#onLine(line);
  }

  #append(part: Buffer): void {
    const room = maxLineBytes - this.#pending.length;
    if (part.length > room) this.#isCutting = true;
    if (part.length === 0 || room === 0) return;
    this.#pending = Buffer.concat([this.#pending, part.subarray(0, room)]);
  }
}
