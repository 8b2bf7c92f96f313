import {
  closeSync,
  constants,
  copyFileSync,
  type FSWatcher,
  fstatSync,
  ftruncateSync,
  openSync,
  readSync,
  watch,
} from 'node:fs';
import { errorMessage } from '../base/errors.ts';
import type { Logger, LogLevel } from '../base/logger.ts';
import { LineSplitter } from './line-splitter.ts';
import { parseLogLine } from './log-line.ts';

export interface OutputTiming {
  /** A file larger than this is copied to `<file>.1` and emptied, bytes. */
  readonly rotateBytes: number;
  /** Changes within this time are read together, milliseconds. */
  readonly batchMs: number;
  /** A look at the file in case the kernel's notification was lost, milliseconds. */
  readonly pollMs: number;
  /** The same when the kernel refuses to watch (its limit of watches is reached), milliseconds. */
  readonly pollWithoutWatchMs: number;
}

/** 512 KiB: two files per component in RAM stay near 1 MiB. */
export const defaultOutputTiming: OutputTiming = {
  rotateBytes: 512 * 1024,
  batchMs: 50,
  pollMs: 10_000,
  pollWithoutWatchMs: 500,
};

const keptLines = 20;
const readBytes = 64 * 1024;
/** Each round has less to read than the one before, unless the child is faster than we are. */
const catchUpRounds = 8;

/**
 * Follows a log file that a child appends to: each line goes to the logger with its own level, the
 * last 20 are kept. A file and not a pipe, because a child must neither die nor block with its reader.
 * Reads only what is appended after its creation; costs nothing while nothing is written. When the
 * child writes faster than it can be read, lines are skipped rather than memory filled.
 */
export class OutputFollower {
  readonly #file: string;
  readonly #logger: Logger;
  readonly #timing: OutputTiming;
  readonly #fd: number;
  readonly #splitter = new LineSplitter((line) => this.#takeLine(line));
  readonly #lines: string[] = [];
  readonly #watcher: FSWatcher | undefined;
  #poll: NodeJS.Timeout | undefined;
  #batch: NodeJS.Timeout | undefined;
  #offset: number;
  #level: LogLevel = 'info';
  #isClosed = false;

  /** @throws when the file cannot be opened; it must exist. */
  constructor(file: string, logger: Logger, timing: OutputTiming = defaultOutputTiming) {
    this.#file = file;
    this.#logger = logger;
    this.#timing = timing;
    this.#fd = openSync(file, constants.O_RDWR);
    this.#offset = fstatSync(this.#fd).size;
    this.#watcher = this.#watch();
    this.#pollEvery(this.#watcher === undefined ? timing.pollWithoutWatchMs : timing.pollMs);
  }

  /** Oldest first, at most 20 lines of at most 4 KiB. */
  lastLines(): readonly string[] {
    return [...this.#lines];
  }

  /** Reads what is there, then lets go of the file. Idempotent. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#watcher?.close();
    clearInterval(this.#poll);
    clearTimeout(this.#batch);
    this.#readOrGiveUp();
    this.#splitter.flush();
    closeSync(this.#fd);
  }

  #watch(): FSWatcher | undefined {
    try {
      const watcher = watch(this.#file, { persistent: false }, () => this.#schedule());
      watcher.on('error', (error) => this.#pollInstead(error));
      return watcher;
    } catch (error) {
      this.#logger.debug(`Cannot watch ${this.#file}: ${errorMessage(error)}; polling instead`);
      return undefined;
    }
  }

  #pollInstead(error: Error): void {
    this.#watcher?.close();
    this.#logger.debug(`Cannot watch ${this.#file}: ${error.message}; polling instead`);
    this.#pollEvery(this.#timing.pollWithoutWatchMs);
  }

  #pollEvery(intervalMs: number): void {
    clearInterval(this.#poll);
    if (this.#isClosed) return;
    this.#poll = setInterval(() => this.#schedule(), intervalMs);
    this.#poll.unref();
  }

  #schedule(): void {
    if (this.#isClosed || this.#batch !== undefined) return;
    this.#batch = setTimeout(() => {
      this.#batch = undefined;
      this.#readOrGiveUp();
    }, this.#timing.batchMs);
    this.#batch.unref();
  }

  /** A failing disk under the log must not take the supervisor with it. */
  #readOrGiveUp(): void {
    try {
      this.#readToEnd();
    } catch (error) {
      this.#logger.warn(`Cannot follow ${this.#file} any longer: ${errorMessage(error)}`);
      this.#watcher?.close();
      clearInterval(this.#poll);
    }
  }

  /** Synchronous, so that nothing comes between the last read and the truncation but the child itself. */
  #readToEnd(): void {
    const { size } = fstatSync(this.#fd);
    if (size < this.#offset) this.#offset = 0;
    if (size === this.#offset) return;
    this.#skipFlood(size);
    this.#readUpTo(size);
    if (size > this.#timing.rotateBytes) this.#rotate();
  }

  /** Keeps one turn short however much was written: only the newest part is read. */
  #skipFlood(size: number): void {
    const excessBytes = size - this.#offset - this.#timing.rotateBytes;
    if (excessBytes <= 0) return;
    this.#offset += excessBytes;
    this.#logger.warn(`Skipped ${excessBytes} bytes of output: it came faster than it can be read`);
  }

  #readUpTo(end: number): void {
    const buffer = Buffer.allocUnsafe(Math.min(readBytes, end - this.#offset));
    while (this.#offset < end) {
      const wanted = Math.min(buffer.length, end - this.#offset);
      const count = readSync(this.#fd, buffer, 0, wanted, this.#offset);
      if (count === 0) return;
      this.#splitter.push(buffer.subarray(0, count));
      this.#offset += count;
    }
  }

  /** The child's descriptor is in append mode, so it goes on at the start of the emptied file. */
  #rotate(): void {
    try {
      copyFileSync(this.#file, `${this.#file}.1`);
    } catch (error) {
      this.#logger.warn(`Cannot keep the older output of ${this.#file}: ${errorMessage(error)}`);
    }
    this.#catchUp();
    ftruncateSync(this.#fd, 0);
    this.#offset = 0;
  }

  /** What the child writes between the last look here and the truncation is lost: microseconds' worth. */
  #catchUp(): void {
    for (let round = 0; round < catchUpRounds; round += 1) {
      const { size } = fstatSync(this.#fd);
      if (size === this.#offset) return;
      this.#skipFlood(size);
      this.#readUpTo(size);
    }
  }

  #takeLine(line: string): void {
    this.#lines.push(line);
    if (this.#lines.length > keptLines) this.#lines.shift();
    const { level, message } = parseLogLine(line);
    // What is indented goes on with the record before it: klog's `err=<` blocks, stack traces of Go.
    if (!/^\s/.test(line)) this.#level = level;
    this.#logger[this.#level](message);
  }
}
