import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readdirSync, readlinkSync } from 'node:fs';
import { truncate, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { blobPath, hashBytes } from '../../../src/artifacts/blobs.ts';
import { importBundle } from '../../../src/artifacts/bundle.ts';
import { createLayoutWriter } from '../../../src/artifacts/oci-layout.ts';
import type { ArtifactStore } from '../../../src/artifacts/store.ts';
import { errorCode } from '../../../src/base/errors.ts';
import { createLogger } from '../../../src/base/logger.ts';
import { waitFor } from '../../../src/base/time.ts';
import { emptyStore, makeBundle, neverAborted, temporaryFolder } from './bundle-fixture.ts';
import { drain, errorCodes, get, open } from './registry-client.ts';
import {
  createRegistryAuthority,
  type RegistryAuthority,
  type RegistryOptions,
  type RunningRegistry,
  startRegistry,
} from './registry-fixture.ts';

let authority: RegistryAuthority;
let folder = '';
let store: ArtifactStore;
let large = Buffer.alloc(0);
let largeDigest = '';

beforeAll(() => {
  authority = createRegistryAuthority();
});

beforeEach(async () => {
  folder = await temporaryFolder();
  store = await emptyStore(folder);
  large = randomBytes(1_000_000);
  largeDigest = hashBytes(large).digest;
  const bundle = await makeBundle(folder, { executables: { large } });
  await importAll(bundle.directory, bundle.indexSha256);
});

describe('a blob', () => {
  test('comes whole, with length and digest', async () => {
    const { port } = await start();
    const answer = await get(port, `/v2/mini-k8s/tool/blobs/${largeDigest}`);
    expect(answer.status).toBe(200);
    expect(answer.body.equals(large)).toBe(true);
    expect(answer.headers).toMatchObject({
      'content-length': '1000000',
      'docker-content-digest': largeDigest,
      etag: `"${largeDigest}"`,
      'accept-ranges': 'bytes',
    });
    const head = await get(port, `/v2/mini-k8s/tool/blobs/${largeDigest}`, { method: 'HEAD' });
    expect([head.status, head.body.length, head.headers['content-length']]).toEqual([
      200,
      0,
      '1000000',
    ]);
  });

  test.each([
    ['bytes=999999-', 999_999, 1_000_000],
    ['bytes=0-0', 0, 1],
    ['bytes=100000-299999', 100_000, 300_000],
    ['bytes=-5', 999_995, 1_000_000],
  ])('gives the part %s', async (range, first, end) => {
    const { port } = await start();
    const answer = await get(port, `/v2/a/blobs/${largeDigest}`, {
      headers: { range, 'if-range': `"${largeDigest}"` },
    });
    expect(answer.status).toBe(206);
    expect(answer.headers['content-range']).toBe(`bytes ${first}-${end - 1}/1000000`);
    expect(answer.body.equals(large.subarray(first, end))).toBe(true);
  });

  test('refuses a part that it does not have, and gives the whole to who had another content', async () => {
    const { port } = await start();
    const target = `/v2/a/blobs/${largeDigest}`;
    const beyond = await get(port, target, { headers: { range: 'bytes=1000000-' } });
    expect([beyond.status, beyond.headers['content-range']]).toEqual([416, 'bytes */1000000']);
    const other = await get(port, target, {
      headers: { range: 'bytes=5-', 'if-range': '"sha256:other"' },
    });
    expect([other.status, other.body.length]).toEqual([200, 1_000_000]);
  });

  test('that was cut on disk is an error and a line in the log, never a short body', async () => {
    const lines: string[] = [];
    const logger = createLogger({
      level: 'error',
      format: 'json',
      write: (line) => lines.push(line),
    });
    const { port } = await start({ logger });
    await truncate(blobPath(store.directory, largeDigest), 500_000);
    const answer = await get(port, `/v2/a/blobs/${largeDigest}`);
    expect(errorCodes(answer)).toEqual(['BLOB_UNKNOWN']);
    expect(lines.join()).toContain('it has 500000 bytes instead of 1000000');
  });

  test('that is cut while it is sent breaks the connection', async () => {
    const { port } = await start();
    const { target, file } = await makeHuge();
    const response = await open(port, target);
    await once(response, 'readable');
    await truncate(file, 2 ** 20);
    await expect(drain(response)).rejects.toThrow('aborted');
  });

  test('that no entry names is not served, though it lies there', async () => {
    const { port } = await start();
    const { digest } = hashBytes(Buffer.from('secret'));
    await writeFile(blobPath(store.directory, digest), 'secret');
    expect((await get(port, `/v2/a/blobs/${digest}`)).status).toBe(404);
  });
});

describe('many clients', () => {
  test('get 503 and a time above the limit, and the next gets a place when one is done', async () => {
    const { port } = await start({ limits: { all: 2, perPeer: 2 } });
    const { target } = await makeHuge();
    const [first, second] = [await open(port, target), await open(port, target)];
    const refused = await get(port, target);
    expect([refused.status, refused.headers['retry-after']]).toEqual([503, '2']);
    expect(errorCodes(refused)).toEqual(['TOOMANYREQUESTS']);
    expect((await get(port, '/v2/mini-k8s/tool/manifests/1.0.0-amd64')).status).toBe(200);
    first.destroy();
    await waitFor(
      async () => (await get(port, target, { headers: { range: 'bytes=0-0' } })).status === 206,
      {
        subject: 'a place to be free',
        timeoutMs: 30_000,
      },
    );
    second.destroy();
  });

  test('of one node leave places to the others', async () => {
    const { port } = await start({ limits: { all: 10, perPeer: 1 } });
    const { target } = await makeHuge();
    const mine = await open(port, target);
    expect((await get(port, target)).status).toBe(503);
    const { status } = await get(port, target, {
      headers: { range: 'bytes=0-9', authorization: '' },
      identity: authority.client,
    });
    expect(status).toBe(206);
    mine.destroy();
  });

  test('that go away in the middle leave no file open', async () => {
    // A handle that nobody closed is closed with its garbage, and Node.js says so.
    const warnings: Error[] = [];
    const onWarning = (warning: Error) => warnings.push(warning);
    process.on('warning', onWarning);
    onTestFinished(() => void process.off('warning', onWarning));
    const registry = await start({ limits: { all: 100, perPeer: 100 } });
    const { target, file } = await makeHuge();
    for (let round = 0; round < 5; round += 1) {
      const responses = await Promise.all(
        Array.from({ length: 10 }, () => open(registry.port, target)),
      );
      for (const response of responses) response.destroy();
    }
    await waitFor(() => registry.connections() === 0 && openFiles(file) === 0, {
      subject: 'all files to be closed',
      timeoutMs: 30_000,
      describe: () => `${openFiles(file)} open files, ${registry.connections()} connections`,
    });
    expect(warnings).toEqual([]);
  });

  test('that take nothing are cut off and give their place back', async () => {
    const registry = await start({ limits: { all: 1, perPeer: 1 }, stallMs: 300 });
    const { target, file } = await makeHuge();
    const stalled = await open(registry.port, target);
    stalled.pause();
    await waitFor(() => openFiles(file) === 0, { subject: 'the file', timeoutMs: 30_000 });
    expect((await get(registry.port, target, { headers: { range: 'bytes=0-0' } })).status).toBe(
      206,
    );
    stalled.destroy();
  });
});

async function start(options: Partial<RegistryOptions> = {}): Promise<RunningRegistry> {
  return await startRegistry({ store, authority, ...options });
}

/** 32 MiB of zeros that take no room on disk: more than all buffers between two sockets hold. */
async function makeHuge(): Promise<{ readonly target: string; readonly file: string }> {
  const source = path.join(folder, 'huge');
  await writeFile(source, '');
  await truncate(source, 32 * 2 ** 20);
  const directory = path.join(folder, 'huge-bundle');
  const writer = await createLayoutWriter(directory);
  const { digest } = await writer.addBlobFromFile(source);
  await writer.addComponent({
    ...{ name: 'huge', version: '1.0.0', arch: 'amd64', builtFrom: 'upstream' },
    executables: [{ name: 'huge', file: source }],
  });
  await importAll(directory, (await writer.finish()).indexSha256);
  return { target: `/v2/a/blobs/${digest}`, file: blobPath(store.directory, digest) };
}

/** How often this process, which is the server, has a file open. */
function openFiles(file: string): number {
  return readdirSync('/proc/self/fd').filter((fd) => isLinkTo(`/proc/self/fd/${fd}`, file)).length;
}

function isLinkTo(link: string, file: string): boolean {
  try {
    return readlinkSync(link) === file;
  } catch (error) {
    // It was closed since the directory was listed.
    if (errorCode(error) === 'ENOENT') return false;
    throw error;
  }
}

async function importAll(directory: string, trustBundle: string): Promise<void> {
  const quiet = { onEvent: () => {}, signal: neverAborted };
  await importBundle({ path: directory, store, trustBundle, linkBlobs: true, ...quiet });
}
