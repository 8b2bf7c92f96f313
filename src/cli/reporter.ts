import type { NodeEvent } from '../node/events.ts';
import { type Drawing, drawEvent } from './draw-event.ts';
import { createProgressDrawing } from './draw-progress.ts';
import { paint } from './paint.ts';
import type { OutputStream } from './streams.ts';

/** Renders events for the person at the terminal. */
export interface Reporter {
  readonly report: (event: NodeEvent) => void;
  /** Ends a line that is still being drawn. */
  close(): void;
}

/**
 * ✓/✗ per step with its time. On a terminal one more line at the bottom says what is under way; elsewhere there are
 * only lines that stay.
 */
export function createReporter(
  stream: OutputStream,
  now: () => number = () => performance.now(),
): Reporter {
  const bottom = createBottomLine(stream);
  /** How each component failed that has not been ready since. */
  const failing = new Map<string, string | undefined>();
  const progress = createProgressDrawing(now);
  /** Why a download waits, until something else is known: it may wait for minutes, in dozens of tries. */
  let waitingFor: string | undefined;
  let isSettled = false;
  let isStopping = false;

  function show({ lines = [], begins, ends }: Drawing): void {
    bottom.clear();
    if (ends !== undefined) bottom.end(ends);
    if (begins !== undefined) bottom.begin(begins);
    for (const line of lines) stream.write(`${line}\n`);
    bottom.draw();
  }

  /** @returns whether nothing more is to be shown of it. */
  function takeImport(event: NodeEvent): boolean {
    const { isTTY, columns = 80 } = stream;
    switch (event.type) {
      case 'import-progress':
        if (isTTY === true) bottom.note(progress.barAt(event, columns));
        else show({ lines: progress.linesAt(event) });
        return true;
      case 'import-waiting': {
        const isKnown = waitingFor === event.why;
        waitingFor = event.why;
        return isKnown;
      }
      case 'import-started':
        progress.restart();
        return false;
      case 'import-finished':
        bottom.note('');
        waitingFor = undefined;
        return false;
      default:
        return false;
    }
  }

  function report(event: NodeEvent): void {
    if (takeImport(event)) return;
    const isFailingAgain =
      event.type === 'component-terminated' &&
      failing.has(event.name) &&
      failing.get(event.name) === event.termination.message;
    show(drawEvent(event, { stream, isFailingAgain, isSettled, isStopping }));
    if (event.type === 'component-terminated') failing.set(event.name, event.termination.message);
    if (event.type === 'component-ready') failing.delete(event.name);
    if (event.type === 'cluster-ready') isSettled = true;
    if (event.type === 'stopping') isStopping = true;
  }

  return { report, close: bottom.clear };
}

/** What is under way, in the order of its beginning. Does nothing where the stream is no terminal. */
function createBottomLine(stream: OutputStream) {
  const work = new Set<string>();
  let note = '';
  let isDrawn = false;
  const clear = () => {
    if (isDrawn) stream.write('\r\u001b[2K');
    isDrawn = false;
  };
  const draw = () => {
    if (stream.isTTY !== true || work.size === 0) return;
    const text = `  ${[...work].join(', ')} …${note === '' ? '' : ` ${note}`}`;
    // A line that wraps could not be taken back.
    const shown = text.slice(0, Math.max(10, (stream.columns ?? 80) - 1));
    stream.write(paint(stream, 'dim', shown));
    isDrawn = true;
  };
  return {
    clear,
    draw,
    begin: (words: string) => void work.add(words),
    end: (words: string) => void work.delete(words),
    note: (text: string) => {
      if (text === note) return;
      clear();
      note = text;
      draw();
    },
  };
}
