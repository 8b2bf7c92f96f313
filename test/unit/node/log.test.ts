import { describe, expect, it } from 'vitest';
import type { Logger, LogLevel } from '../../../src/base/logger.ts';
import { logNodeEvent } from '../../../src/node/log-node-event.ts';
import { logThreshold, outputLevel } from '../../../src/node/log-threshold.ts';

const levels: readonly LogLevel[] = ['trace', 'debug', 'info', 'warn', 'error'];

function recorder(): { logger: Logger; lines: string[] } {
  const lines: string[] = [];
  const at = (level: LogLevel) => (message: string) => void lines.push(`${level} ${message}`);
  const logger: Logger = {
    trace: at('trace'),
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    child: () => logger,
  };
  return { logger, lines };
}

describe('logThreshold', () => {
  it('drops what is below, also in children, and asks each time', () => {
    const { logger, lines } = recorder();
    let minimum: LogLevel | 'silent' = 'warn';
    const bounded = logThreshold(logger, () => minimum).child({ component: 'etcd' });
    for (const level of levels) bounded[level]('a');
    minimum = 'silent';
    for (const level of levels) bounded[level]('b');
    minimum = 'trace';
    bounded.trace('c');
    expect(lines).toEqual(['warn a', 'error a', 'trace c']);
  });

  it('is silent about components while they come up, then tells errors, and all when debugging', () => {
    expect(outputLevel({ isDebug: false, isSettled: false })).toBe('silent');
    expect(outputLevel({ isDebug: false, isSettled: true })).toBe('error');
    expect(outputLevel({ isDebug: true, isSettled: false })).toBe('trace');
  });
});

describe('logNodeEvent', () => {
  it('writes what only the engines know, and leaves out what the supervisor has written', () => {
    const { logger, lines } = recorder();
    logNodeEvent(logger, { type: 'certificate-issued', name: 'etcd-server', reason: 'expiring' });
    logNodeEvent(logger, { type: 'image-missing', reference: 'a:1' });
    logNodeEvent(logger, { type: 'import-waiting', source: 's', why: 'busy', retryInMs: 500 });
    logNodeEvent(logger, { type: 'source-failed', source: 's', why: 'gone' });
    logNodeEvent(logger, { type: 'unserved', name: 'etcd 3.7.1 (amd64)' });
    logNodeEvent(logger, { type: 'stack-failed', name: 'web', message: 'bad' });
    logNodeEvent(logger, { type: 'file-written', path: '/a', change: 'updated' });
    logNodeEvent(logger, { type: 'component-ready', name: 'etcd', elapsedMs: 1 });
    expect(lines).toEqual([
      'info issued the certificate etcd-server (expiring)',
      'warn no source has the image a:1',
      'info waiting for s: busy; next try in 500 ms',
      'warn s: gone',
      'warn no source has etcd 3.7.1 (amd64), which workers may ask for',
      'warn stack web: bad',
      'info wrote /a',
    ]);
  });
});
