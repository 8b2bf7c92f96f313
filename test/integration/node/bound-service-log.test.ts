import { closeSync, openSync, writeSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, rmdir, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, test } from 'vitest';
import { waitFor } from '../../../src/base/time.ts';
import { boundLog } from '../../../src/node/bound-service-log.ts';

const onFailure = (error: unknown) => {
  throw error;
};

test('a full log becomes the previous one, and writing goes on in an empty file', async () => {
  const directory = await mkdtemp(path.join(tmpdir(), 'mini-k8s-log-'));
  const file = path.join(directory, 'service.log');
  const fd = openSync(file, 'a');
  const abort = new AbortController();
  try {
    writeSync(fd, 'first\n'.repeat(100));
    const bounding = boundLog(fd, { maxBytes: 500, intervalMs: 10, onFailure }, abort.signal);
    await waitFor(async () => (await stat(file)).size === 0, {
      subject: 'the log to be emptied',
      timeoutMs: 20_000,
    });
    writeSync(fd, 'second\n');
    abort.abort();
    await bounding;
    expect(await readFile(file, 'utf8')).toBe('second\n');
    expect(await readFile(`${file}.1`, 'utf8')).toBe('first\n'.repeat(100));
  } finally {
    abort.abort();
    closeSync(fd);
    await rm(directory, { recursive: true, force: true });
  }
});

test('a copy that could not be made is made later', async () => {
  const directory = await mkdtemp(path.join(tmpdir(), 'mini-k8s-log-'));
  const file = path.join(directory, 'service.log');
  const fd = openSync(file, 'a');
  const abort = new AbortController();
  const failures: unknown[] = [];
  const bounds = {
    ...{ maxBytes: 500, intervalMs: 10 },
    onFailure: (error: unknown) => failures.push(error),
  };
  try {
    await mkdir(`${file}.1`);
    writeSync(fd, 'line\n'.repeat(200));
    const bounding = boundLog(fd, bounds, abort.signal);
    await waitFor(() => failures.length > 1, { subject: 'two failures', timeoutMs: 10_000 });
    expect((await stat(file)).size).toBe(1000);
    await rmdir(`${file}.1`);
    await waitFor(async () => (await stat(file)).size === 0, {
      ...{ subject: 'the log to be emptied', timeoutMs: 10_000 },
    });
    abort.abort();
    await bounding;
  } finally {
    abort.abort();
    closeSync(fd);
    await rm(directory, { recursive: true, force: true });
  }
});

test('what is no file is left alone', async () => {
  const fd = openSync('/dev/null', 'a');
  try {
    await boundLog(fd, { maxBytes: 0, intervalMs: 10, onFailure }, new AbortController().signal);
  } finally {
    closeSync(fd);
  }
});
