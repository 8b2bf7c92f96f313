import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { importBundle } from '../../../src/artifacts/bundle.ts';
import { ensureArtifacts } from '../../../src/artifacts/ensure-artifacts.ts';
import { findComponent, verifyStore } from '../../../src/artifacts/store.ts';
import { startHttpProxy } from '../../support/http-proxy.ts';
import { makeBundle, makeTar, neverAborted, storeState } from './bundle-fixture.ts';
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

describe('upstream as a source', () => {
  test('gives the wanted executables, from files as they are and out of archives', async () => {
    const upstream = makeUpstream();
    const server = await startUpstream(upstream);
    const { store } = await newStore();
    const { source, events } = sourceOf(upstream, server, { store });
    const offers = await source.provide([plain('alpha'), packed], neverAborted);
    expect(offers).toEqual(['plain 1.0.0 (amd64)', 'packed 2.0.0 (amd64)']);
    expect(await stored(store, plain(), 'alpha')).toEqual(upstream.executables['alpha']);
    expect(await stored(store, packed, 'gamma')).toEqual(upstream.executables['gamma']);
    // Two manifests, the empty config, two executables: beta is not wanted, and the archive is gone.
    expect(await storeState(store)).toEqual({ entries: 2, blobs: 5, temporary: 0 });
    expect(server.requests).toHaveLength(2);
    expect(await verifyStore(store, neverAborted)).toEqual([]);
    expect(events.at(0)).toMatchObject({ type: 'import-started', source: 'upstream' });
    expect(events.at(-1)).toMatchObject({ type: 'import-finished', source: 'upstream', blobs: 2 });
  });

  test('records where each executable came from', async () => {
    const upstream = makeUpstream();
    const server = await startUpstream(upstream);
    const { store } = await newStore();
    await sourceOf(upstream, server, { store }).source.provide([packed], neverAborted);
    const component = await findComponent(store, packed);
    const archive = upstream.files.get('/packed/v2.0.0/packed-v2.0.0-linux-amd64.tar.gz');
    expect(component?.entry.annotations).toMatchObject({ 'mini-k8s.io/built-from': 'upstream' });
    expect(component?.executables.get('gamma')?.annotations).toEqual({
      'org.opencontainers.image.title': 'gamma',
      'mini-k8s.io/archive': `sha256:${sha256(archive ?? Buffer.alloc(0))}`,
    });
  });

  test('is asked for nothing that the store has', async () => {
    const upstream = makeUpstream();
    const server = await startUpstream(upstream);
    const { store } = await newStore();
    const { source } = sourceOf(upstream, server, { store });
    await source.provide([plain('alpha'), packed], neverAborted);
    await source.provide([plain('alpha', 'beta'), packed], neverAborted);
    const names = server.requests.map((line) => line.split('/').at(-1));
    expect(names).toHaveLength(3);
    expect(new Set(names)).toEqual(new Set(['alpha', 'beta', 'packed-v2.0.0-linux-amd64.tar.gz']));
    expect(await stored(store, plain(), 'alpha')).toEqual(upstream.executables['alpha']);
    expect(await stored(store, plain(), 'beta')).toEqual(upstream.executables['beta']);
  });

  test('does not know images, other components and other versions', async () => {
    const upstream = makeUpstream();
    const server = await startUpstream(upstream);
    const { store } = await newStore();
    const { source } = sourceOf(upstream, server, { store });
    const image = { kind: 'image', reference: 'example.test/hello:1', arch: 'amd64' } as const;
    const old = { ...plain('alpha'), version: '0.9.0' };
    const other = { ...plain('alpha'), name: 'other' };
    expect(await source.provide([image, old, other], neverAborted)).toEqual([]);
    expect(server.requests).toEqual([]);
  });

  test('replaces a component that was built from source as a whole', async () => {
    const upstream = makeUpstream();
    const server = await startUpstream(upstream);
    const { store, folder } = await newStore();
    const bundle = await makeBundle(folder, { builtFrom: 'source' });
    await importBundle({
      path: bundle.directory,
      ...{ store, trustBundle: bundle.indexSha256, onEvent: () => {}, signal: neverAborted },
    });
    const pins = { tool: { ...upstream.pins['plain'], version: '1.0.0' } } as typeof upstream.pins;
    const { source } = sourceOf({ ...upstream, pins }, server, { store });
    await source.provide([{ ...plain('alpha'), name: 'tool' }], neverAborted);
    const tool = await findComponent(store, { ...plain(), name: 'tool' });
    expect(tool?.entry.annotations).toMatchObject({ 'mini-k8s.io/built-from': 'upstream' });
    expect([...(tool?.executables.keys() ?? [])]).toEqual(['alpha']);
  });
});

describe('a mirror', () => {
  test('has upstream’s paths below its base, and gets its credentials', async () => {
    const upstream = makeUpstream();
    const seen = new Set<string | undefined>();
    const files = new Map([...upstream.files].map(([name, content]) => [`/k8s${name}`, content]));
    const server = await startUpstream({
      files,
      intercept: ({ headers }) => {
        seen.add(headers.authorization);
        return false;
      },
    });
    const { store } = await newStore();
    const base = `https://127.0.0.1:${server.port}/k8s/`;
    const { source, events } = sourceOf(upstream, server, {
      store,
      mirror: { base, authorization: 'Basic c2VjcmV0' },
    });
    expect(source.description).toBe(`mirror ${base}`);
    await source.provide([plain('alpha'), packed], neverAborted);
    expect(await stored(store, packed, 'gamma')).toEqual(upstream.executables['gamma']);
    expect([...seen]).toEqual(['Basic c2VjcmV0']);
    expect(events.at(0)).toMatchObject({ source: `mirror 127.0.0.1:${server.port}` });
  });

  test('that does not have a file names its address', async () => {
    const upstream = makeUpstream();
    const server = await startUpstream({ files: new Map() });
    const { store } = await newStore();
    const base = `https://127.0.0.1:${server.port}`;
    const { source } = sourceOf(upstream, server, { store, mirror: { base } });
    await expect(source.provide([plain('alpha')], neverAborted)).rejects.toMatchObject({
      message: `Cannot download alpha of plain 1.0.0 (amd64): there is no ${base}/v1.0.0/bin/linux/amd64/alpha (404)`,
      fix: expect.stringContaining('spec.artifacts.mirror'),
    });
  });
});

describe('redirects', () => {
  test('to another host are followed, resumed from the first, and get no credentials', async () => {
    const upstream = makeUpstream();
    const authority = (await startUpstream({ files: new Map() })).authority;
    const seen: (string | undefined)[] = [];
    let cuts = 1;
    const content = await startUpstream({
      ...{ files: upstream.files, authority, names: ['cdn.example.test'] },
      intercept: (request, response) => {
        seen.push(request.headers.authorization);
        if (request.method === 'HEAD' || cuts === 0) return false;
        cuts -= 1;
        response.writeHead(200, { etag: '"abc"', 'content-length': 200_000 });
        response.write(upstream.executables['alpha']?.subarray(0, 90_000), () =>
          response.destroy(),
        );
        return true;
      },
    });
    const front = await startUpstream({
      ...{ files: new Map(), authority },
      intercept: (request, response) => {
        const location = `https://127.0.0.1:${content.port}${request.url}?signature=secret`;
        response.writeHead(302, { location }).end();
        return true;
      },
    });
    const { store } = await newStore();
    const { source } = sourceOf(upstream, front, {
      store,
      mirror: { base: `https://127.0.0.1:${front.port}`, authorization: 'Basic c2VjcmV0' },
    });
    await source.provide([plain('alpha')], neverAborted);
    expect(await stored(store, plain(), 'alpha')).toEqual(upstream.executables['alpha']);
    expect(new Set(seen)).toEqual(new Set([undefined]));
    expect(front.requests).toHaveLength(2);
    expect(content.requests[0]).not.toContain('bytes=');
  });

  test.each([
    ['in a circle', (url: string) => url, /it redirects more than 5 times/],
    [
      'to an address without TLS',
      () => 'http://cdn.example.test/x?signature=secret',
      /it redirects to http:\/\/cdn\.example\.test\/x, which is not protected by TLS$/,
    ],
    ['to nowhere', () => 'https://', /it redirects to what is no address/],
  ])('%s are refused', async (_name, locate, message) => {
    const upstream = makeUpstream();
    const server = await startUpstream({
      files: new Map(),
      intercept: (request, response) => {
        response.writeHead(302, { location: locate(request.url ?? '') }).end();
        return true;
      },
    });
    const { store } = await newStore();
    const { source } = sourceOf(upstream, server, { store });
    await expect(source.provide([plain('alpha')], neverAborted)).rejects.toThrow(message);
  });
});

test('everything goes through the proxy', async () => {
  const upstream = makeUpstream();
  const server = await startUpstream(upstream);
  const proxy = await startHttpProxy({ routes: { [`${upstreamHost}:443`]: server.port } });
  try {
    const { store } = await newStore();
    const { dialTcp } = await import('../../../src/base/dial.ts');
    const { source } = sourceOf(upstream, server, {
      store,
      dial: (address, signal) =>
        dialTcp(
          {
            ...{ ...address, timeoutMs: 30_000 },
            proxy: {
              proxy: { protocol: 'http', host: '127.0.0.1', port: proxy.port },
              exceptions: [],
            },
          },
          signal,
        ),
    });
    await source.provide([plain('alpha')], neverAborted);
    expect(new Set(proxy.targets)).toEqual(new Set([`${upstreamHost}:443`]));
  } finally {
    await proxy.close();
  }
});

describe('archives', () => {
  test.each([
    ['../evil', /its entry "\.\.\/evil" leads outside of the archive/],
    ['/etc/evil', /its entry "\/etc\/evil" leads outside of the archive/],
    ['a/../../evil', /leads outside of the archive/],
  ])('with the entry %s are refused', async (name, message) => {
    const upstream = makeUpstream({ archived: [{ path: name, content: Buffer.from('x') }] });
    const server = await startUpstream(upstream);
    const { store } = await newStore();
    const { source } = sourceOf(upstream, server, { store });
    await expect(source.provide([packed], neverAborted)).rejects.toThrow(message);
    expect((await storeState(store)).entries).toBe(0);
  });

  test.each([
    [
      'without the executable',
      gzipSync(makeTar([{ path: 'other' }])),
      /linux-amd64\.tar\.gz has no packed-v2\.0\.0\/gamma/,
    ],
    [
      'with a link for it',
      gzipSync(
        makeTar([{ path: 'packed-v2.0.0/gamma', type: 'SymbolicLink', linkpath: '/etc/shadow' }]),
      ),
      /has no packed-v2\.0\.0\/gamma/,
    ],
    ['that are none', Buffer.from('hello'), /the compressed data is damaged/],
    ['cut short', gzipSync(Buffer.alloc(5000)).subarray(0, 20), /the compressed data is damaged/],
    ['without an end', gzipSync(Buffer.alloc(700, 1)), /the archive is damaged or incomplete/],
  ])('%s are refused', async (_name, archive, message) => {
    const upstream = makeUpstream({ archive });
    const server = await startUpstream(upstream);
    const { store } = await newStore();
    const { source } = sourceOf(upstream, server, { store });
    await expect(source.provide([packed], neverAborted)).rejects.toThrow(message);
  });
});

test('executables that upstream gave are linked, and a second time nothing is asked', async () => {
  const upstream = makeUpstream();
  const server = await startUpstream(upstream);
  const { store, folder } = await newStore();
  const wanted = {
    ...packed,
    members: [{ name: 'gamma', path: `${folder}/bin/gamma` }],
  };
  const { source } = sourceOf(upstream, server, { store });
  const options = { store, sources: [source], onEvent: () => {}, signal: neverAborted };
  await ensureArtifacts([wanted], options);
  await ensureArtifacts([wanted], options);
  expect(server.requests).toHaveLength(1);
});
