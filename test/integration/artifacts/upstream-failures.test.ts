import type { IncomingMessage, ServerResponse } from 'node:http';
import { describe, expect, test } from 'vitest';
import type { ArtifactEvent } from '../../../src/artifacts/types.ts';
import { UserErrors } from '../../../src/base/errors.ts';
import { createTestAuthority } from '../../support/tls-authority.ts';
import { neverAborted, storeState } from './bundle-fixture.ts';
import {
  makeUpstream,
  newStore,
  packed,
  plain,
  sha256,
  sourceOf,
  startUpstream,
  stored,
  upstreamHost,
} from './upstream-fixture.ts';

const nothing = { entries: 0, blobs: 0 };

/** Answers GETs of one file itself. */
function onGet(name: string, answer: (response: ServerResponse, request: IncomingMessage) => void) {
  return (request: IncomingMessage, response: ServerResponse): boolean => {
    if (request.method === 'HEAD' || request.url?.endsWith(name) !== true) return false;
    answer(response, request);
    return true;
  };
}

function waits(events: readonly ArtifactEvent[]) {
  return events.flatMap((event) => (event.type === 'import-waiting' ? [event] : []));
}

describe('a download that is cut', () => {
  test('goes on where it ended, under the validator of the server', async () => {
    const upstream = makeUpstream();
    const cuts = [60_000, 20_000];
    const conditions: unknown[] = [];
    const server = await startUpstream({
      files: upstream.files,
      intercept: (request, response) => {
        if (request.method === 'HEAD') return false;
        conditions.push(request.headers['if-range']);
        cutNext(response, cuts);
        return false;
      },
    });
    const { store } = await newStore();
    const { source, events } = sourceOf(upstream, server, { store });
    await source.provide([plain('alpha')], neverAborted);
    expect(await stored(store, plain(), 'alpha')).toEqual(upstream.executables['alpha']);
    const etag = `"${sha256(upstream.executables['alpha'] ?? Buffer.alloc(0)).slice(0, 16)}"`;
    expect(conditions).toEqual([undefined, etag, etag]);
    expect(server.requests.map((line) => line.split(' ')[2])).toEqual([
      undefined,
      'bytes=60000-',
      'bytes=80000-',
    ]);
    expect(server.sentBytes()).toBe(200_000);
    expect(waits(events)).toMatchObject([
      { source: 'upstream', why: `${upstreamHost}: the connection was cut` },
      { why: `${upstreamHost}: the connection was cut` },
    ]);
  });

  test('begins again where the server has another file by then', async () => {
    const upstream = makeUpstream();
    const content = upstream.executables['alpha'] ?? Buffer.alloc(0);
    let gets = 0;
    const server = await startUpstream({
      files: upstream.files,
      intercept: onGet('alpha', (response) => {
        gets += 1;
        const other = gets === 1 ? Buffer.alloc(content.length) : content;
        response.writeHead(200, { etag: `"${gets}"`, 'content-length': content.length });
        if (gets === 1) response.write(other.subarray(0, 50_000), () => response.destroy());
        else response.end(other);
      }),
    });
    const { store } = await newStore();
    const { source } = sourceOf(upstream, server, { store });
    await source.provide([plain('alpha')], neverAborted);
    expect(await stored(store, plain(), 'alpha')).toEqual(content);
    expect(gets).toBe(2);
  });

  test('is given up after so many fruitless rounds, and ends the others', async () => {
    const upstream = makeUpstream();
    const server = await startUpstream({
      files: upstream.files,
      intercept: (request, response) => {
        if (request.method !== 'HEAD') response.destroy();
        return request.method !== 'HEAD';
      },
    });
    const { store } = await newStore();
    const { source } = sourceOf(upstream, server, { store });
    await expect(source.provide([plain('alpha', 'beta'), packed], neverAborted)).rejects.toThrow(
      /^Cannot download \S+ of \S+ \S+ \(amd64\): dl\.example\.test: .*$/,
    );
    expect(await storeState(store)).toMatchObject(nothing);
  });
});

describe('wrong content', () => {
  test.each([
    ['other bytes', Buffer.alloc(200_000)],
    ['too few bytes', Buffer.alloc(199_999)],
    ['too many bytes', Buffer.alloc(200_001)],
    ['nothing', Buffer.alloc(0)],
  ])('%s are named with what was expected, at once, and never visible', async (_name, content) => {
    const upstream = makeUpstream();
    const server = await startUpstream({
      files: upstream.files,
      intercept: onGet('alpha', (response) => response.writeHead(200).end(content)),
    });
    const { store } = await newStore();
    const { source } = sourceOf(upstream, server, { store });
    const digest = `sha256:${sha256(upstream.executables['alpha'] ?? Buffer.alloc(0))}`;
    await expect(source.provide([plain('alpha')], neverAborted)).rejects.toMatchObject({
      why: `${upstreamHost}: the ${content.length} bytes of alpha of plain 1.0.0 (amd64) are not ${digest}`,
      fix: expect.stringContaining('--bundle'),
    });
    expect(server.requests).toHaveLength(1);
    expect(await storeState(store)).toMatchObject(nothing);
  });

  test.each([
    ['more', 300_000],
    ['less', 100_000],
  ])('a length that says %s than there is', async (_name, length) => {
    const upstream = makeUpstream();
    const server = await startUpstream({
      files: upstream.files,
      intercept: onGet('alpha', (response, request) => {
        const from = Number(/\d+/.exec(request.headers.range ?? '')?.[0] ?? 0);
        const rest = (upstream.executables['alpha'] ?? Buffer.alloc(0)).subarray(from, length);
        response.socket?.write(`HTTP/1.1 200 OK\r\ncontent-length: ${length}\r\n\r\n`);
        response.socket?.end(rest);
      }),
    });
    const { store } = await newStore();
    const { source } = sourceOf(upstream, server, { store, timing: { rounds: 2 } });
    await expect(source.provide([plain('alpha')], neverAborted)).rejects.toThrow(
      length > 200_000 ? /the connection was cut/ : /the 100000 bytes of alpha .* are not sha256:/,
    );
    expect(await storeState(store)).toMatchObject(nothing);
  });

  test('of one file does not keep the others from coming, and all problems are told', async () => {
    const upstream = makeUpstream();
    const files = new Map(upstream.files);
    files.delete('/v1.0.0/bin/linux/amd64/alpha');
    files.set('/packed/v2.0.0/packed-v2.0.0-linux-amd64.tar.gz', Buffer.from('wrong'));
    const server = await startUpstream({ files });
    const { store } = await newStore();
    const { source } = sourceOf(upstream, server, { store });
    const failure = await source
      .provide([plain('alpha', 'beta'), packed], neverAborted)
      .catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(UserErrors);
    expect(String(failure)).toMatch(
      /there is no https:\/\/dl\.example\.test\/v1\.0\.0\/bin\/linux\/amd64\/alpha \(404\)/,
    );
    expect(String(failure)).toMatch(/the 5 bytes of gamma of packed 2\.0\.0 \(amd64\) are not/);
    expect(await stored(store, plain(), 'beta')).toEqual(upstream.executables['beta']);
  });
});

test('a server with too many requests is asked again when it says', async () => {
  const upstream = makeUpstream();
  let refusals = 2;
  const server = await startUpstream({
    files: upstream.files,
    intercept: (request, response) => {
      if (request.method === 'HEAD' || refusals === 0) return false;
      refusals -= 1;
      const date = new Date();
      const later = new Date(date.getTime() + 2000);
      const header = refusals === 1 ? '1' : later.toUTCString();
      response.writeHead(429, { date: date.toUTCString(), 'retry-after': header }).end();
      return true;
    },
  });
  const { store } = await newStore();
  const { source, events } = sourceOf(upstream, server, { store, random: () => 0 });
  await source.provide([plain('alpha')], neverAborted);
  expect(waits(events).map(({ why, retryInMs }) => [why, retryInMs])).toEqual([
    [`${upstreamHost} is busy`, 1000],
    [`${upstreamHost} is busy`, 2000],
  ]);
});

test('a server that says nothing any more is cut, and asked for the rest', async () => {
  const upstream = makeUpstream();
  let stalls = 1;
  const server = await startUpstream({
    files: upstream.files,
    intercept: (request, response) => {
      if (request.method === 'HEAD' || stalls === 0) return false;
      stalls -= 1;
      response.writeHead(200, { 'content-length': 200_000 });
      response.write(upstream.executables['alpha']?.subarray(0, 70_000));
      return true;
    },
  });
  const { store } = await newStore();
  const { source, events } = sourceOf(upstream, server, { store, timing: { stallMs: 2_000 } });
  await source.provide([plain('alpha')], neverAborted);
  expect(waits(events)[0]?.why).toBe(`${upstreamHost}: no byte came for 2 s`);
  expect(server.requests[1]).toMatch(/ bytes=70000-$/);
});

describe('a certificate', () => {
  test('of an unknown CA is refused at once, and says what to do', async () => {
    const upstream = makeUpstream();
    const server = await startUpstream(upstream);
    const { store } = await newStore();
    const { source } = sourceOf(upstream, server, {
      store,
      authorities: createTestAuthority().ca,
    });
    await expect(source.provide([plain('alpha')], neverAborted)).rejects.toMatchObject({
      why: expect.stringMatching(
        /^dl\.example\.test: its certificate is not one that this machine trusts \(.+\)$/,
      ),
      fix: expect.stringContaining('spec.artifacts.ca'),
    });
    expect(server.requests).toEqual([]);
  });

  test('of another name is refused', async () => {
    const upstream = makeUpstream();
    const server = await startUpstream({ files: upstream.files, names: ['other.example.test'] });
    const { store } = await newStore();
    const { source } = sourceOf(upstream, server, { store });
    await expect(source.provide([plain('alpha')], neverAborted)).rejects.toThrow(
      /is not one that this machine trusts \(.*dl\.example\.test.*\)/,
    );
  });
});

test('an abort ends everything at once', async () => {
  const upstream = makeUpstream();
  const stopping = new AbortController();
  const server = await startUpstream({
    files: upstream.files,
    intercept: onGet('alpha', (response) => {
      response.writeHead(200, { 'content-length': 200_000 }).write(Buffer.alloc(1000));
      setImmediate(() => stopping.abort(new Error('stopping')));
    }),
  });
  const { store } = await newStore();
  const { source } = sourceOf(upstream, server, { store });
  await expect(source.provide([plain('alpha')], stopping.signal)).rejects.toThrow('stopping');
});

/** Cuts the connection after the next of these numbers of bytes. */
function cutNext(response: ServerResponse, cuts: number[]): void {
  const bytes = cuts.shift();
  if (bytes === undefined) return;
  const write = response.write.bind(response) as (...args: unknown[]) => boolean;
  let left = bytes;
  response.write = ((chunk: Uint8Array, ...rest: unknown[]) => {
    const part = chunk.subarray(0, left);
    left -= part.length;
    if (left > 0) return write(part, ...rest);
    return write(part, () => response.destroy());
  }) as typeof response.write;
}
