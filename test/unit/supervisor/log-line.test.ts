import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseLogLine } from '../../../src/supervisor/log-line.ts';

describe('parseLogLine', () => {
  test.each([
    [
      'klog info',
      'I1121 09:23:11.123456    1234 server.go:12] "Started" port=6443',
      { level: 'info', message: 'server.go:12] "Started" port=6443' },
    ],
    [
      'klog warning',
      'W0101 00:00:00.000001 7 a.go:1] slow',
      { level: 'warn', message: 'a.go:1] slow' },
    ],
    [
      'klog error',
      'E0101 00:00:00.000001 7 a.go:1] bad',
      { level: 'error', message: 'a.go:1] bad' },
    ],
    [
      'klog fatal',
      'F0101 00:00:00.000001 7 a.go:1] end',
      { level: 'error', message: 'a.go:1] end' },
    ],
    [
      'zap JSON',
      '{"level":"warn","ts":"2026-11-21T09:00:00Z","caller":"a/b.go:1","msg":"slow","took":"2s","n":3}',
      { level: 'warn', message: 'slow took=2s n=3' },
    ],
    ['zap fatal', '{"level":"fatal","msg":"no disk"}', { level: 'error', message: 'no disk' }],
    ['JSON without level', '{"message":"hello"}', { level: 'info', message: 'hello' }],
    ['JSON with a strange level', '{"level":7,"msg":"hello"}', { level: 'info', message: 'hello' }],
    ['half JSON', '{"level":"error"', { level: 'info', message: '{"level":"error"' }],
    [
      'logfmt',
      'time="2026-11-21T09:00:00Z" level=error msg="cannot \\"run\\"" error="exit 1"',
      { level: 'error', message: 'cannot "run" error="exit 1"' },
    ],
    ['logfmt without time', 'level=warning msg=slow', { level: 'warn', message: 'msg=slow' }],
    ['a Go panic', 'panic: nil map', { level: 'error', message: 'panic: nil map' }],
    ['plain text', 'listening on :53', { level: 'info', message: 'listening on :53' }],
    [
      'a level that is an Object member',
      '{"level":"constructor","msg":"x"}',
      { level: 'info', message: 'x' },
    ],
  ])('%s', (_name, line, expected) => {
    expect(parseLogLine(line)).toEqual(expected);
  });

  test('knows a level for whatever is written', () => {
    const anyLine = fc.oneof(
      fc.string(),
      fc.json(),
      fc.string().map((s) => `level=${s} msg="${s}"`),
    );
    fc.assert(
      fc.property(anyLine, (line) => {
        const { level, message } = parseLogLine(line);
        expect(['trace', 'debug', 'info', 'warn', 'error']).toContain(level);
        expect(message === '').toBe(line === '');
      }),
    );
  });
});
