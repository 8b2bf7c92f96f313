import { describe, expect, test } from 'vitest';
import { createProgressDrawing } from '../../../src/cli/draw-progress.ts';
import { createReporter } from '../../../src/cli/reporter.ts';
import { fakeStream, screenOf } from '../../support/fake-stream.ts';

const megabyte = 1_000_000;

function at(doneBytes: number, totalBytes = 400 * megabyte) {
  return { type: 'import-progress', source: 'upstream', doneBytes, totalBytes } as const;
}

/** A drawing with a clock that the test moves. */
function drawingAt() {
  let nowMs = 0;
  const drawing = createProgressDrawing(() => nowMs);
  return { drawing, pass: (ms: number) => (nowMs += ms) };
}

describe('a bar', () => {
  test('has share, amount, rate and the time that is left', () => {
    const { drawing, pass } = drawingAt();
    expect(drawing.barAt(at(0), 100)).toBe('[--------------------] 0 %, 0 of 400 MB');
    pass(2000);
    expect(drawing.barAt(at(100 * megabyte), 100)).toBe(
      '[#####---------------] 25 %, 100 of 400 MB, 50 MB/s, 6s left',
    );
  });

  test('does not take for speed what an earlier process had won', () => {
    const { drawing, pass } = drawingAt();
    drawing.barAt(at(300 * megabyte), 100);
    pass(1000);
    expect(drawing.barAt(at(310 * megabyte), 100)).toContain(', 10 MB/s, 9s left');
  });

  test('shows the rate of the last seconds', () => {
    const { drawing, pass } = drawingAt();
    for (let second = 0; second <= 10; second += 1) {
      drawing.barAt(at(second * 20 * megabyte), 100);
      pass(1000);
    }
    for (let second = 1; second < 6; second += 1) {
      drawing.barAt(at((200 + second) * megabyte), 100);
      pass(1000);
    }
    expect(drawing.barAt(at(206 * megabyte), 100)).toContain(', 1.0 MB/s, 3m14s left');
  });

  test('says no rate while nothing comes, and is left out where there is no room', () => {
    const { drawing, pass } = drawingAt();
    drawing.barAt(at(megabyte), 40);
    pass(1000);
    expect(drawing.barAt(at(megabyte), 40)).toBe('0 %, 1.0 of 400 MB');
  });

  test('begins anew with the next source', () => {
    const { drawing, pass } = drawingAt();
    drawing.barAt(at(200 * megabyte), 100);
    pass(1000);
    drawing.restart();
    expect(drawing.barAt(at(0), 100)).toBe('[--------------------] 0 %, 0 of 400 MB');
  });
});

describe('a log', () => {
  test('gets a line per quarter, with rate and time left', () => {
    const { drawing, pass } = drawingAt();
    const lines = [0, 60, 120, 180, 240, 300, 360, 400].flatMap((done) => {
      pass(2000);
      return drawing.linesAt(at(done * megabyte));
    });
    expect(lines).toEqual([
      '  upstream: 25 % of 400 MB, 30 MB/s, 9s left',
      '  upstream: 50 % of 400 MB, 30 MB/s, 5s left',
      '  upstream: 75 % of 400 MB, 30 MB/s, 3s left',
    ]);
  });

  test('gets none of what takes no time', () => {
    const { drawing } = drawingAt();
    expect(drawing.linesAt(at(5 * megabyte, 10 * megabyte))).toEqual([]);
  });
});

test('a terminal shows the bar beside the step, and loses it with the end', () => {
  const stream = fakeStream({ columns: 120 });
  let nowMs = 0;
  const reporter = createReporter(stream, () => nowMs);
  reporter.report({ type: 'step-started', step: 'components' });
  reporter.report({ type: 'import-started', source: 'upstream', totalBytes: 400 * megabyte });
  reporter.report(at(0));
  nowMs = 1000;
  reporter.report(at(100 * megabyte));
  expect(screenOf(stream.text())).toBe(
    '  components … [#####---------------] 25 %, 100 of 400 MB, 100 MB/s, 3s left',
  );
  reporter.report({ type: 'import-finished', source: 'upstream', blobs: 1, elapsedMs: 4000 });
  expect(screenOf(stream.text())).toBe('  components …');
});
