import { describe, expect, it } from 'vitest';
import { createLogger, type LoggerOptions, silentLogger } from '../../../src/base/logger.ts';

function logged(options: Partial<LoggerOptions>) {
  const lines: string[] = [];
  const logger = createLogger({
    level: 'info',
    format: 'text',
    write: (line) => lines.push(line),
    ...options,
  });
  return { logger, lines };
}

describe('createLogger', () => {
  it('writes text for people: time, level, component, message, fields', () => {
    const { logger, lines } = logged({});
    logger.child({ component: 'etcd' }).warn('slow disk', { tookMs: 12, path: '/a', list: [1] });
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(
      /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z WARN {2}\[etcd\] slow disk tookMs=12 path=\/a list=\[1\]\n$/,
    );
  });

  it('writes one JSON object per line for programs', () => {
    const { logger, lines } = logged({ format: 'json' });
    logger.error('two\nlines', { a: 1 });
    expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual([
      { level: 'error', time: expect.any(String), msg: 'two\nlines', a: 1 },
    ]);
    expect(lines[0]?.indexOf('\n')).toBe((lines[0]?.length ?? 0) - 1);
  });

  it('drops what is below its level', () => {
    const { logger, lines } = logged({ level: 'warn' });
    for (const level of ['trace', 'debug', 'info', 'warn', 'error'] as const) logger[level](level);
    expect(lines.map((line) => line.trimEnd().split(' ').at(-1))).toEqual(['warn', 'error']);
    const silent = logged({ level: 'silent' });
    silent.logger.error('x');
    silentLogger.child({}).error('x');
    expect(silent.lines).toEqual([]);
  });
});
