import type { NodeEvent } from '../node/events.ts';
import { duration } from './duration.ts';
import { megabytes } from './megabytes.ts';

type ProgressEvent = Extract<NodeEvent, { type: 'import-progress' }>;

/** How far an import or a download is, as a person reads it. */
export interface ProgressDrawing {
  /** Forgets the rate: something else begins. */
  restart(): void;
  /** For the bottom line of a terminal: `[##########----------] 50 %, 194 of 388 MB, 41 MB/s, 5s left`. */
  barAt(event: ProgressEvent, columns: number): string;
  /** For a log: a line per quarter of what takes long. */
  linesAt(event: ProgressEvent): string[];
}

/** Less than this is read before anybody wonders, bytes. */
const longImportBytes = 64 * 1024 * 1024;

/** The rate is that of the last seconds: a line that became slow shows at once. */
const rateWindowMs = 5000;

/** No rate is worth telling before. */
const minRateMs = 400;

const barWidth = 20;
/** A narrower terminal gets no bar, so that the numbers fit. */
const minBarColumns = 76;

/** @param now Milliseconds of a clock that only goes forward. */
export function createProgressDrawing(now: () => number): ProgressDrawing {
  let samples: { readonly atMs: number; readonly bytes: number }[] = [];
  let toldQuarter = 0;

  /** Bytes per second; undefined while too little is known. What was there at the beginning was not won by it. */
  function rateAt({ doneBytes }: ProgressEvent): number | undefined {
    const atMs = now();
    samples = samples.filter((sample) => atMs - sample.atMs <= rateWindowMs);
    samples.push({ atMs, bytes: doneBytes });
    const [first] = samples;
    if (first === undefined || atMs - first.atMs < minRateMs) return undefined;
    return (doneBytes - first.bytes) / ((atMs - first.atMs) / 1000);
  }

  return {
    restart: () => {
      samples = [];
      toldQuarter = 0;
    },
    barAt: (event, columns) => {
      const { doneBytes, totalBytes } = event;
      const fraction = Math.min(1, doneBytes / Math.max(1, totalBytes));
      const filled = Math.floor(fraction * barWidth);
      const bar = `[${'#'.repeat(filled)}${'-'.repeat(barWidth - filled)}] `;
      const done = `${Math.floor(fraction * 100)} %, ${megabytes(doneBytes).replace(' MB', '')} of ${megabytes(totalBytes)}`;
      return `${columns < minBarColumns ? '' : bar}${done}${speed(event, rateAt(event))}`;
    },
    linesAt: (event) => {
      const { source, doneBytes, totalBytes } = event;
      const rate = rateAt(event);
      const quarter = Math.floor((doneBytes / Math.max(1, totalBytes)) * 4);
      if (totalBytes < longImportBytes || quarter <= toldQuarter || quarter >= 4) return [];
      toldQuarter = quarter;
      return [`  ${source}: ${quarter * 25} % of ${megabytes(totalBytes)}${speed(event, rate)}`];
    },
  };
}

function speed({ doneBytes, totalBytes }: ProgressEvent, rate: number | undefined): string {
  if (rate === undefined || rate <= 0) return '';
  const leftMs = ((totalBytes - doneBytes) / rate) * 1000;
  return `, ${megabytes(rate)}/s, ${duration(leftMs)} left`;
}
