import type { Writable } from 'node:stream';

/** What a person sees: one line per step, with a running clock where the terminal can show one. */
export interface StepReporter {
  /** Runs one step and reports it as `✓ <title>  12 s  (<detail>)`; `run` returns the detail. */
  step(title: string, run: () => Promise<string>): Promise<void>;
  /** The line that `step` prints, for what is known to be a step only when it is over. */
  done(title: string, elapsedMs: number, detail: string): void;
  /** `✓ <title>  cached`. */
  cached(title: string): void;
  note(text: string): void;
}

export interface StepReporterOptions {
  readonly stream: Writable & { readonly isTTY?: boolean };
  /** Monotonic milliseconds. */
  readonly now: () => number;
}

const clockPeriodMs = 1000;
const clearLine = '\r\u001b[K';

export function createStepReporter({ stream, now }: StepReporterOptions): StepReporter {
  const isTerminal = stream.isTTY === true;
  return {
    async step(title, run) {
      const startedAt = now();
      const elapsed = () => formatSeconds(now() - startedAt);
      if (isTerminal) stream.write(`… ${title}`);
      else stream.write(`  ${title} …\n`);
      const clock = isTerminal
        ? setInterval(() => stream.write(`${clearLine}… ${title}  ${elapsed()}`), clockPeriodMs)
        : undefined;
      try {
        const detail = await run();
        stream.write(`${isTerminal ? clearLine : ''}${doneLine(title, now() - startedAt, detail)}`);
      } catch (error) {
        stream.write(`${isTerminal ? clearLine : ''}✗ ${title}  ${elapsed()}\n`);
        throw error;
      } finally {
        clearInterval(clock);
      }
    },
    done: (title, elapsedMs, detail) => stream.write(doneLine(title, elapsedMs, detail)),
    note: (text) => stream.write(`  ${text}\n`),
    cached: (title) => stream.write(`✓ ${title}  cached\n`),
  };
}

function doneLine(title: string, elapsedMs: number, detail: string): string {
  return `✓ ${title}  ${formatSeconds(elapsedMs)}${detail === '' ? '' : `  (${detail})`}\n`;
}

/** `0.4 s` below ten seconds, `295 s` above. */
export function formatSeconds(ms: number): string {
  const seconds = ms / 1000;
  return `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s`;
}

/** Decimal units, two digits at least: `394 MB`, `3.4 MB`, `0.4 kB`. */
export function formatBytes(bytes: number): string {
  const [value, unit] = bytes < 1e5 ? [bytes / 1e3, 'kB'] : [bytes / 1e6, 'MB'];
  return `${value < 10 ? Number(value.toPrecision(2)) : Math.round(value)} ${unit}`;
}
