import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { mkdir, stat, writeFile } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import path from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { partialPath } from '../../../src/artifacts/blobs.ts';
import { importBundle } from '../../../src/artifacts/bundle.ts';
import type { DownloadRequest } from '../../fixtures/download-from-controller.ts';
import { startDelayProxy } from '../../support/delay-proxy.ts';
import { makeBundle, neverAborted, storeState, wantTool } from './bundle-fixture.ts';
import {
  digestOf,
  executable,
  makeStores,
  sourceFrom,
  stopped,
  type TwoStores,
} from './controller-fixture.ts';
import { cutAfter, startRegistry, token } from './registry-fixture.ts';

const run = promisify(execFile);
const program = path.resolve(import.meta.dirname, '../../fixtures/download-from-controller.ts');
const mebibyte = 2 ** 20;
const beta = wantTool('/bin', { members: ['beta'] });

describe('a download that is cut', () => {
  test('goes on where it ended, as often as it must', async () => {
    const stores = await makeStores({ executables: { beta: randomBytes(mebibyte) } });
    const cutter = cutBlob(stores, 'beta', [100_000, 200_000, 300_000]);
    const registry = await startRegistry({ store: stores.from, ...stores, intercept: cutter });
    const { source, events } = sourceFrom(stores, [registry.address], { timing: { rounds: 1 } });
    await source.provide([beta], neverAborted);
    expect(await executable(stores, 'beta')).toEqual(stores.executables['beta']);
    const asked = blobRequests(registry.requests, digestOf(stores, 'beta'));
    expect(asked).toEqual(['', 'bytes=100000-', 'bytes=300000-', 'bytes=600000-']);
    expect(events.filter(({ type }) => type === 'import-waiting')).toMatchObject([
      { why: `${registry.address}: the connection was cut`, retryInMs: 4 },
      { retryInMs: 4 },
      { retryInMs: 4 },
    ]);
  });

  test('goes on at another controller', async () => {
    const stores = await makeStores({ executables: { beta: randomBytes(mebibyte) } });
    const first = await startRegistry({
      ...{ store: stores.from, authority: stores.authority },
      intercept: cutBlob(stores, 'beta', [500_000]),
    });
    const second = await startRegistry({ store: stores.from, ...stores });
    const { source } = sourceFrom(stores, [first.address, second.address]);
    await source.provide([beta], neverAborted);
    expect(await executable(stores, 'beta')).toEqual(stores.executables['beta']);
    expect(blobRequests(second.requests, digestOf(stores, 'beta'))).toEqual(['bytes=500000-']);
  });

  test('begins again where the controller does not know parts', async () => {
    const stores = await makeStores({ executables: { beta: randomBytes(mebibyte) } });
    const cutter = cutBlob(stores, 'beta', [500_000]);
    const registry = await startRegistry({
      ...{ store: stores.from, authority: stores.authority },
      intercept: (request, response) => {
        delete request.headers.range;
        return cutter(request, response);
      },
    });
    const { source } = sourceFrom(stores, [registry.address]);
    await source.provide([beta], neverAborted);
    expect(await executable(stores, 'beta')).toEqual(stores.executables['beta']);
  });

  test('is given up where each try begins anew and comes no further', async () => {
    const stores = await makeStores({ executables: { beta: randomBytes(mebibyte) } });
    const registry = await startRegistry({
      ...{ store: stores.from, authority: stores.authority },
      intercept: (request, response) => {
        delete request.headers.range;
        if (request.url?.includes(digestOf(stores, 'beta')) === true) cutAfter(response, 500_000);
        return false;
      },
    });
    const { source } = sourceFrom(stores, [registry.address]);
    await expect(source.provide([beta], neverAborted)).rejects.toThrow('the connection was cut');
  });

  test.each([['bytes 5-1048575/1048576'], ['bytes 500000-1048575/99']])(
    'refuses the part %s, which it did not ask for',
    async (range) => {
      const stores = await makeStores({ executables: { beta: randomBytes(mebibyte) } });
      const cutter = cutBlob(stores, 'beta', [500_000]);
      const registry = await startRegistry({
        ...{ store: stores.from, authority: stores.authority },
        intercept: (request, response) => {
          if (request.headers.range === undefined) return cutter(request, response);
          response.writeHead(206, { 'content-range': range }).end('x');
          return true;
        },
      });
      const { source } = sourceFrom(stores, [registry.address]);
      await expect(source.provide([beta], neverAborted)).rejects.toThrow(
        `asked for the bytes from 500000 of 1048576 it sent ${range}`,
      );
    },
  );

  test('from a server that says nothing any more is cut by us, and goes on', async () => {
    const stores = await makeStores({ executables: { beta: randomBytes(mebibyte) } });
    let stalls = 0;
    const registry = await startRegistry({
      ...{ store: stores.from, authority: stores.authority },
      intercept: (request, response) => {
        if (request.url?.includes(digestOf(stores, 'beta')) !== true || stalls > 0) return false;
        stalls += 1;
        response.writeHead(200, { 'content-length': mebibyte });
        response.write(stores.executables['beta']?.subarray(0, 400_000));
        return true;
      },
    });
    const { source, events } = sourceFrom(stores, [registry.address], {
      timing: { stallMs: 1000 },
    });
    await source.provide([beta], neverAborted);
    expect(await executable(stores, 'beta')).toEqual(stores.executables['beta']);
    expect(blobRequests(registry.requests, digestOf(stores, 'beta'))).toEqual([
      '',
      'bytes=400000-',
    ]);
    expect(events.find(({ type }) => type === 'import-waiting')).toMatchObject({
      why: `${registry.address}: no byte came for 1 s`,
    });
  });

  test('through a line that goes silent is noticed, and goes on by a new connection', async () => {
    const stores = await makeStores({ executables: { beta: randomBytes(4 * mebibyte) } });
    const registry = await startRegistry({ store: stores.from, ...stores });
    const broken = await startDelayProxy({ target: registry.port, dropAfterBytes: mebibyte });
    try {
      const { source } = sourceFrom(stores, [broken.address], { timing: { stallMs: 1000 } });
      await source.provide([beta], neverAborted);
    } finally {
      await broken.close();
    }
    expect(await executable(stores, 'beta')).toEqual(stores.executables['beta']);
    const asked = blobRequests(registry.requests, digestOf(stores, 'beta'));
    expect(asked.length).toBeGreaterThan(2);
    expect(asked.slice(1).every((range) => /^bytes=[1-9]\d+-$/.test(range))).toBe(true);
  });
});

describe('a process that was killed', () => {
  test.each([0.1, 0.5, 0.9])('at %f goes on where it ended', async (dieAt) => {
    const stores = await makeStores({ executables: { beta: randomBytes(8 * mebibyte) } });
    const registry = await startRegistry({ store: stores.from, ...stores });
    await expect(download(stores, [registry.address], { dieAt })).rejects.toMatchObject({
      signal: 'SIGKILL',
    });
    expect(await storeState(stores.to)).toMatchObject({ entries: 0, temporary: 1 });
    const { size } = await stat(partialPath(stores.to.directory, digestOf(stores, 'beta')));
    expect(size / (8 * mebibyte)).toBeGreaterThan(dieAt - 0.05);

    await download(stores, [registry.address]);
    expect(blobRequests(registry.requests, digestOf(stores, 'beta'))).toEqual([
      '',
      `bytes=${size}-`,
    ]);
    expect(await executable(stores, 'beta')).toEqual(stores.executables['beta']);
    expect(await storeState(stores.to)).toEqual({ entries: 1, blobs: 3, temporary: 0 });
  });

  test('between the last byte and the rename needs no byte more', async () => {
    const stores = await makeStores();
    const registry = await startRegistry({ store: stores.from, ...stores });
    await leavePartial(stores, stores.executables['beta'] ?? Buffer.alloc(0));
    const { source } = sourceFrom(stores, [registry.address]);
    await source.provide([beta], neverAborted);
    expect(await executable(stores, 'beta')).toEqual(stores.executables['beta']);
    expect(blobRequests(registry.requests, digestOf(stores, 'beta'))).toEqual([]);
  });

  test.each([
    ['other bytes', (content: Uint8Array) => Buffer.alloc(content.length >> 1)],
    ['too many bytes', (content: Uint8Array) => Buffer.concat([content, content])],
  ])('and left %s gets everything anew', async (_name, damage) => {
    const stores = await makeStores();
    const registry = await startRegistry({ store: stores.from, ...stores });
    await leavePartial(stores, damage(stores.executables['beta'] ?? Buffer.alloc(0)));
    const { source } = sourceFrom(stores, [registry.address]);
    await source.provide([beta], neverAborted);
    expect(await executable(stores, 'beta')).toEqual(stores.executables['beta']);
  });
});

test('what was begun outlives an import from a bundle, and is removed when its blob came with it', async () => {
  const stores = await makeStores();
  const content = Buffer.from(stores.executables['beta'] ?? []);
  await leavePartial(stores, content.subarray(0, 1000));
  const other = await makeBundle(stores.folder, { executables: { gamma: Buffer.from('gamma') } });
  await importInto(stores, other);
  expect((await storeState(stores.to)).temporary).toBe(1);
  await importInto(stores, await makeBundle(stores.folder, { executables: { beta: content } }));
  expect((await storeState(stores.to)).temporary).toBe(0);
});

test('what was begun for something that is not wanted any more goes with the next success', async () => {
  const stores = await makeStores();
  const registry = await startRegistry({ store: stores.from, ...stores });
  await mkdir(path.join(stores.to.directory, 'tmp'), { recursive: true });
  await writeFile(partialPath(stores.to.directory, `sha256:${'a'.repeat(64)}`), 'old');
  const absent = sourceFrom(stores, [await stopped()]);
  await expect(absent.source.provide([beta], neverAborted)).rejects.toThrow();
  expect((await storeState(stores.to)).temporary).toBe(1);
  await sourceFrom(stores, [registry.address]).source.provide([beta], neverAborted);
  expect((await storeState(stores.to)).temporary).toBe(0);
});

describe('a full disk', () => {
  test('is foreseen', async () => {
    const stores = await makeStores();
    const registry = await startRegistry({ store: stores.from, ...stores });
    await expect(onSmallDisk(stores, registry.address, '200k').finished).rejects.toMatchObject({
      code: 1,
      stderr: expect.stringMatching(
        /Cannot download from controller \S+: \S+ needs 1 MiB more and has 1 MiB free/,
      ),
    });
  });

  test('is met when something else fills it, and has room again afterwards', async () => {
    const stores = await makeStores({ executables: { beta: randomBytes(2 * mebibyte) } });
    let fill = () => {};
    const registry = await startRegistry({
      ...{ store: stores.from, authority: stores.authority },
      intercept: (request) => {
        if (request.url?.includes('/blobs/') === true) fill();
        return false;
      },
    });
    const { finished, pid } = onSmallDisk(stores, registry.address, '3m');
    fill = () => {
      // Once: writing it again would make room first, which a download might take.
      fill = () => {};
      const filler = `/proc/${pid}/root${stores.to.directory}/filler`;
      writeFileSync(filler, Buffer.alloc(2 * mebibyte));
    };
    await expect(finished).rejects.toMatchObject({
      code: 1,
      stderr: expect.stringMatching(
        /Cannot download beta of tool 1\.0\.0 \(amd64\): the file system of \S+ is full/,
      ),
    });
  });

  /** A download into a file system of that size, in a mount namespace that ends with it. Exit code 8: a part is left. */
  function onSmallDisk(stores: TwoStores, controller: string, size: string) {
    const store = path.join(stores.folder, 'worker/store');
    const script = `mount -t tmpfs -o size=${size} tmpfs ${store} || exit 9
      "$@"; code=$?; find ${store} -name 'partial-*' | grep . && exit 8; exit $code`;
    const command = [process.execPath, program, request(stores, [controller])];
    const finished = run('unshare', ['--mount', 'sh', '-c', script, 'sh', ...command]);
    return { finished, pid: finished.child.pid };
  }
});

/** Answers requests for a blob, each cut after so many bytes; then no more. */
function cutBlob(stores: TwoStores, name: string, cuts: readonly number[]) {
  const left = [...cuts];
  return (request: IncomingMessage, response: ServerResponse): boolean => {
    if (request.url?.includes(digestOf(stores, name)) !== true) return false;
    const bytes = left.shift();
    if (bytes !== undefined) cutAfter(response, bytes);
    return false;
  };
}

/** The Range of each request for a blob; empty where there was none. */
function blobRequests(requests: readonly string[], digest: string): readonly string[] {
  return requests
    .filter((line) => line.includes(`/blobs/${digest}`))
    .map((line) => line.split(' ')[2] ?? '');
}

async function leavePartial(stores: TwoStores, content: Uint8Array): Promise<void> {
  await mkdir(path.join(stores.to.directory, 'tmp'), { recursive: true });
  await writeFile(partialPath(stores.to.directory, digestOf(stores, 'beta')), content);
}

async function download(
  stores: TwoStores,
  controllers: readonly string[],
  options: Partial<DownloadRequest> = {},
): Promise<string> {
  const { stdout } = await run(process.execPath, [program, request(stores, controllers, options)]);
  return stdout;
}

function request(
  { caFile, to }: TwoStores,
  controllers: readonly string[],
  options: Partial<DownloadRequest> = {},
): string {
  const store = to.directory;
  return JSON.stringify({ controllers, caFile, token, store, artifacts: [beta], ...options });
}

async function importInto(
  stores: TwoStores,
  bundle: { readonly directory: string; readonly indexSha256: string },
): Promise<void> {
  await importBundle({
    path: bundle.directory,
    store: stores.to,
    trustBundle: bundle.indexSha256,
    onEvent: () => {},
    signal: neverAborted,
  });
}
