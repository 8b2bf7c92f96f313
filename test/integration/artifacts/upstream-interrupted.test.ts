import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { partialPath } from '../../../src/artifacts/blobs.ts';
import type { UpstreamRequest } from '../../fixtures/download-from-upstream.ts';
import { neverAborted, storeState } from './bundle-fixture.ts';
import {
  makeUpstream,
  newStore,
  plain,
  sha256,
  sourceOf,
  startUpstream,
  stored,
  type Upstream,
  upstreamHost,
  writePem,
} from './upstream-fixture.ts';

const run = promisify(execFile);
const program = path.resolve(import.meta.dirname, '../../fixtures/download-from-upstream.ts');

describe('a process that was killed', () => {
  test.each([0.1, 0.5, 0.9])('at %f is gone on with: no byte comes twice', async (dieAt) => {
    const upstream = makeUpstream({ sizes: { alpha: 8 * 2 ** 20 } });
    const server = await startUpstream(upstream);
    const { store, folder } = await newStore();
    const request = await requestOf(upstream, server, { store: store.directory, folder });
    await expect(download({ ...request, dieAt })).rejects.toMatchObject({ signal: 'SIGKILL' });
    expect(await storeState(store)).toMatchObject({ entries: 0, temporary: 2 });
    const sentBefore = server.sentBytes();
    await download(request);
    expect(await stored(store, plain(), 'alpha')).toEqual(upstream.executables['alpha']);
    expect((await storeState(store)).temporary).toBe(0);
    const [, from] = / bytes=(\d+)-$/.exec(server.requests[1] ?? '') ?? [];
    expect(Number(from) / (8 * 2 ** 20)).toBeGreaterThan(dieAt - 0.05);
    expect(server.sentBytes() - sentBefore).toBe(8 * 2 ** 20 - Number(from));
    expect(server.requests).toHaveLength(2);
  });

  test('between the last byte and the rename needs no byte more', async () => {
    const upstream = makeUpstream();
    const server = await startUpstream(upstream);
    const { store } = await newStore();
    const content = upstream.executables['alpha'] ?? Buffer.alloc(0);
    const partial = partialPath(store.directory, `sha256:${sha256(content)}`);
    await mkdir(path.dirname(partial), { recursive: true });
    writeFileSync(partial, content);
    writeFileSync(
      `${partial}.mark`,
      JSON.stringify({ server: upstreamHost, size: content.length }),
    );
    await sourceOf(upstream, server, { store }).source.provide([plain('alpha')], neverAborted);
    expect(server.requests).toEqual([]);
  });
});

describe('a full disk', () => {
  test('is foreseen', async () => {
    const upstream = makeUpstream({ sizes: { alpha: 2 * 2 ** 20 } });
    const server = await startUpstream(upstream);
    const { store, folder } = await newStore();
    const request = await requestOf(upstream, server, { store: store.directory, folder });
    await expect(onSmallDisk(request, '1m').finished).rejects.toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/Cannot download from mirror \S+: \S+ needs 2 MiB more/),
    });
  });

  test('is met when something else fills it, and has room again afterwards', async () => {
    const upstream = makeUpstream({ sizes: { alpha: 2 * 2 ** 20, beta: 2 ** 20 } });
    let fill = () => {};
    const server = await startUpstream({
      files: upstream.files,
      intercept: ({ method }) => {
        if (method !== 'HEAD') fill();
        return false;
      },
    });
    const { store, folder } = await newStore();
    const request = await requestOf(upstream, server, { store: store.directory, folder });
    const both = { ...request, artifacts: [plain('alpha', 'beta')] };
    const { finished, pid } = onSmallDisk(both, '4m');
    fill = () => {
      // Once: writing it again would make room first, which the two downloads might take.
      fill = () => {};
      const filler = `/proc/${pid}/root${store.directory}/filler`;
      writeFileSync(filler, Buffer.alloc(3 * 2 ** 20));
    };
    await expect(finished).rejects.toMatchObject({
      code: 1,
      stderr: expect.stringMatching(
        /Cannot download \S+ of plain 1\.0\.0 \(amd64\): the file system of \S+ is full/,
      ),
    });
  });

  /** A download into a file system of that size, in a mount namespace that ends with it. Exit code 8: a part is left. */
  function onSmallDisk(request: UpstreamRequest, size: string) {
    const script = `mount -t tmpfs -o size=${size} tmpfs ${request.store} || exit 9
      "$@"; code=$?; find ${request.store} -name 'partial-*' | grep . && exit 8; exit $code`;
    const command = [process.execPath, program, JSON.stringify(request)];
    const finished = run('unshare', ['--mount', 'sh', '-c', script, 'sh', ...command]);
    return { finished, pid: finished.child.pid };
  }
});

async function requestOf(
  { pins }: Upstream,
  server: Awaited<ReturnType<typeof startUpstream>>,
  place: { readonly store: string; readonly folder: string },
): Promise<UpstreamRequest> {
  return {
    mirror: `https://127.0.0.1:${server.port}`,
    caFile: await writePem(place.folder, server.authority),
    pins,
    store: place.store,
    artifacts: [plain('alpha')],
  };
}

async function download(request: UpstreamRequest): Promise<void> {
  await run(process.execPath, [program, JSON.stringify(request)]);
}
