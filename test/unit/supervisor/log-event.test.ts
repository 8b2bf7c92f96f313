import { expect, test } from 'vitest';
import { createLogger } from '../../../src/base/logger.ts';
import { logEvent } from '../../../src/supervisor/log-event.ts';
import type { SupervisorEvent } from '../../../src/supervisor/types.ts';

function logged(event: SupervisorEvent): string {
  const lines: string[] = [];
  const write = (line: string) => lines.push(line);
  logEvent(createLogger({ level: 'trace', format: 'text', write }), event);
  return lines.map((line) => line.replace(/^\S+ /, '').trimEnd()).join('\n');
}

const name = 'etcd';
const crash = {
  reason: 'Error',
  exitCode: 1,
  message: 'exited with code 1',
  finishedAt: 0,
} as const;

test.each<[SupervisorEvent, string]>([
  [{ type: 'component-starting', name }, 'DEBUG [etcd] starting'],
  [{ type: 'component-ready', name, elapsedMs: 12 }, 'INFO  [etcd] ready after 12 ms'],
  [
    { type: 'component-terminated', name, termination: crash, lastOutput: [], retryInMs: 500 },
    'WARN  [etcd] terminated (Error: exited with code 1); next try in 500 ms',
  ],
  [
    {
      type: 'component-terminated',
      name,
      termination: { reason: 'Completed', finishedAt: 0 },
      lastOutput: [],
    },
    'INFO  [etcd] terminated (Completed)',
  ],
  [{ type: 'component-stopping', name }, 'DEBUG [etcd] stopping'],
  [{ type: 'component-stopped', name, elapsedMs: 3 }, 'INFO  [etcd] stopped after 3 ms'],
  [{ type: 'orphan-ended', name, pid: 7 }, 'WARN  [etcd] ended pid 7, left by an earlier run'],
])('%j', (event, text) => {
  expect(logged(event)).toBe(text);
});
