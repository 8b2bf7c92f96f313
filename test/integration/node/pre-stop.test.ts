import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { createLogger } from '../../../src/base/logger.ts';
import { type Ctr, containerdClient } from '../../../src/node/containerd-client.ts';
import type { PreStopHook } from '../../../src/node/pod-containers.ts';
import { runPreStop } from '../../../src/node/pre-stop.ts';

/** Runs a hook of a container whose process is this one, and whose network is this machine's. */
async function runHook(
  preStop: PreStopHook,
  options: { limitMs?: number; error?: Error; ctr?: Ctr } = {},
) {
  // As what is left of a grace period.
  const { limitMs = 5000.125, error, ctr } = options;
  const calls: (readonly string[])[] = [];
  const lines: string[] = [];
  const startedAt = performance.now();
  const container = {
    ...{ id: 'abc', namespace: 'shop', title: 'shop/web-0 (main)', stopSignal: 'SIGTERM' },
    ...{ graceMs: 30_000, preStop },
  };
  await runPreStop(container, limitMs, {
    ctr:
      ctr ??
      (async (args, timeoutMs = 0) => {
        AbortSignal.timeout(timeoutMs);
        calls.push(args);
        if (error !== undefined) throw error;
        return `TASK    PID    STATUS\nabc     ${process.pid}    RUNNING\n`;
      }),
    fifoDir: '/run/hooks',
    logger: createLogger({ level: 'debug', format: 'text', write: (line) => lines.push(line) }),
  });
  return { calls, log: lines.join(''), elapsedMs: performance.now() - startedAt };
}

test('a command runs in the container, and one that fails is told', async () => {
  const hook: PreStopHook = { type: 'exec', command: ['sh', '-c', 'bye --password=secret'] };
  const { calls, log } = await runHook(hook);
  expect(calls).toEqual([
    [
      ...['tasks', 'exec', '--exec-id', 'pre-stop', '--fifo-dir', '/run/hooks'],
      ...['abc', 'sh', '-c', 'bye --password=secret'],
    ],
  ]);
  expect(log).toBe('');
  const failed = await runHook(hook, { error: new Error('ctr tasks exec ended with 3') });
  expect(failed.log).toContain('The preStop hook of shop/web-0 (main) failed');
  expect(failed.log).toContain('ctr tasks exec ended with 3');
  expect(failed.log).not.toContain('secret');
});

/** Calls this script as ctr. */
async function ctrOf(script: string): Promise<Ctr> {
  const binDir = await mkdtemp(path.join(tmpdir(), 'mini-k8s-pre-stop-'));
  onTestFinished(() => rm(binDir, { recursive: true }));
  await writeFile(path.join(binDir, 'ctr'), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  return containerdClient({ binDir, containerdSocket: '/run/none.sock' });
}

test('a command that does not end holds nothing up, whatever it does with signals', async () => {
  // As ctr, which gives SIGTERM to the command and waits for its end.
  const ctr = await ctrOf("trap '' TERM\nexec sleep 40");
  const hook: PreStopHook = { type: 'exec', command: ['sh', '-c', 'bye --password=secret'] };
  const { log, elapsedMs } = await runHook(hook, { limitMs: 500, ctr });
  expect(elapsedMs).toBeLessThan(30_000);
  expect(log).toContain('ctr tasks exec took too long');
  expect(log).not.toContain('secret');
});

test('a command that reads its input has none', async () => {
  const hook: PreStopHook = { type: 'exec', command: ['cat'] };
  expect((await runHook(hook, { limitMs: 30_000, ctr: await ctrOf('exec cat') })).log).toBe('');
});

test('a pause lasts no longer than the grace period', async () => {
  const { elapsedMs } = await runHook({ type: 'sleep', ms: 3_600_000 }, { limitMs: 50 });
  expect(elapsedMs).toBeGreaterThanOrEqual(45);
});

test('a request goes to the pod, with its headers', async () => {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    asked.push(`${request.method} ${request.url} ${String(request.headers['x-why'])}`);
    response.writeHead(500).end('whatever');
  }).listen(0, '127.0.0.1');
  onTestFinished(() => void server.close());
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const request = { type: 'http', host: '', path: '/bye?now', isSecure: false } as const;
  const { log } = await runHook({ ...request, port, headers: { 'X-Why': 'shutdown' } });
  expect(asked).toEqual(['GET /bye?now shutdown']);
  expect(log).toBe('');
  server.close();
  const refused = await runHook({ ...request, port, headers: {} });
  expect(refused.log).toContain('ECONNREFUSED');
});
