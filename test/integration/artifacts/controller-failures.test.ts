import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { ensureArtifacts } from '../../../src/artifacts/ensure-artifacts.ts';
import { listOffered } from '../../../src/artifacts/registry-offer.ts';
import type { ArtifactSpec } from '../../../src/artifacts/types.ts';
import { errorMessage } from '../../../src/base/errors.ts';
import { neverAborted, storeState, wantTool } from './bundle-fixture.ts';
import {
  digestOf,
  ensureOptions,
  executable,
  makeStores,
  sourceFrom,
  stopped,
} from './controller-fixture.ts';
import { createRegistryAuthority, startRegistry, token } from './registry-fixture.ts';

const hello: ArtifactSpec = { kind: 'image', reference: 'example.test/hello:1', arch: 'amd64' };

test.each([
  ['other bytes', 300_000, /the content of beta of tool 1\.0\.0 \(amd64\) is not sha256:/],
  ['too few bytes', 299_999, /it has 299999 bytes for sha256:[0-9a-f]{64} instead of 300000/],
  ['too many bytes', 300_001, /it has 300001 bytes for sha256:[0-9a-f]{64} instead of 300000/],
])('%s are named, and nothing of them is visible', async (_name, size, message) => {
  const stores = await makeStores();
  const registry = await startRegistry({
    ...{ store: stores.from, authority: stores.authority },
    intercept: (request, response) => {
      if (request.url?.includes(digestOf(stores, 'beta')) !== true) return false;
      response.writeHead(200, { 'content-length': size }).end(Buffer.alloc(size));
      return true;
    },
  });
  const { source } = sourceFrom(stores, [registry.address]);
  await expect(source.provide([wantTool('/bin')], neverAborted)).rejects.toMatchObject({
    name: 'UserError',
    message: expect.stringMatching(message),
  });
  expect((await storeState(stores.to)).entries).toBe(0);
  await expect(executable(stores, 'beta')).rejects.toThrow('ENOENT');
});

test.each([
  [300_001, /it sent more than the 300000 bytes of sha256:/],
  [299_000, /it sent 299000 bytes of 300000 and ended/],
])('a body of %i bytes without a length is not taken for the blob', async (size, message) => {
  const stores = await makeStores();
  const registry = await startRegistry({
    ...{ store: stores.from, authority: stores.authority },
    intercept: (request, response) => {
      if (request.url?.includes(digestOf(stores, 'beta')) !== true) return false;
      if (request.headers.range !== undefined) response.writeHead(500).end();
      else response.writeHead(200).end(Buffer.alloc(size));
      return true;
    },
  });
  const { source, events } = sourceFrom(stores, [registry.address], { timing: { rounds: 1 } });
  const failure = await source.provide([wantTool('/bin')], neverAborted).catch(errorMessage);
  const waits = events.flatMap((event) => (event.type === 'import-waiting' ? [event.why] : []));
  expect([failure, ...waits].join('\n')).toMatch(message);
  await expect(executable(stores, 'beta')).rejects.toThrow('ENOENT');
});

test('a manifest with another digest than the join document names is refused', async () => {
  const stores = await makeStores();
  const registry = await startRegistry({
    ...{ store: stores.from, authority: stores.authority },
    intercept: (request, response) => {
      if (request.url?.includes('/manifests/') !== true) return false;
      const type = 'application/vnd.oci.image.manifest.v1+json';
      response.writeHead(200, { 'content-type': type }).end('{"schemaVersion":2}');
      return true;
    },
  });
  const offered = await listOffered(stores.from, 'amd64');
  const { source } = sourceFrom(stores, [registry.address], { offered });
  await expect(source.provide([wantTool('/bin')], neverAborted)).rejects.toThrow(
    /instead of manifest sha256:[0-9a-f]{64} it sent one with sha256:/,
  );
});

test.each([
  ['no JSON', 'application/vnd.oci.image.manifest.v1+json', '{', /it is not JSON/],
  ['a list', 'application/vnd.oci.image.manifest.v1+json', '[]', /it is not a JSON object/],
  ['a page', 'text/html', '<p>hello', /unknown media type "text\/html"/],
  [
    'five megabytes',
    'application/vnd.oci.image.manifest.v1+json',
    ' '.repeat(5 * 2 ** 20),
    /more than 4194304 bytes/,
  ],
  [
    'an image',
    'application/vnd.oci.image.manifest.v1+json',
    `{"schemaVersion":2,"config":{"mediaType":"a","digest":"sha256:${'0'.repeat(64)}","size":2},"layers":[]}`,
    /a manifest of another kind/,
  ],
])('%s in place of a manifest is refused', async (_name, type, body, message) => {
  const stores = await makeStores();
  const registry = await startRegistry({
    ...{ store: stores.from, authority: stores.authority },
    intercept: (_request, response) => {
      response.writeHead(200, { 'content-type': type }).end(body);
      return true;
    },
  });
  const { source } = sourceFrom(stores, [registry.address]);
  await expect(source.provide([wantTool('/bin')], neverAborted)).rejects.toThrow(message);
  expect(await storeState(stores.to)).toEqual({ entries: 0, blobs: 0, temporary: 0 });
});

test('a token that is no longer accepted is told from a failure, without the token, at once', async () => {
  const stores = await makeStores();
  const registry = await startRegistry({ store: stores.from, ...stores, authorize: () => false });
  const { source } = sourceFrom(stores, [registry.address]);
  const failure = source.provide([wantTool('/bin')], neverAborted);
  await expect(failure).rejects.toMatchObject({
    why: `${registry.address}: it does not accept the token or certificate of this node (401)`,
    fix: expect.stringContaining('mini-k8s token create'),
  });
  await expect(failure).rejects.not.toThrow(token);
  expect(registry.requests).toHaveLength(1);
});

test('a server of another cluster gets no token', async () => {
  const stores = await makeStores();
  const foreign = await startRegistry({
    store: stores.from,
    authority: createRegistryAuthority(),
  });
  const { source } = sourceFrom(stores, [foreign.address]);
  await expect(source.provide([wantTool('/bin')], neverAborted)).rejects.toThrow(
    /its certificate is not one of this cluster/,
  );
  expect(foreign.requests).toEqual([]);
});

test('a server that does not speak TLS is named', async () => {
  const stores = await makeStores();
  const plain = createServer().listen(0, '127.0.0.1');
  onTestFinished(() => void plain.close());
  await once(plain, 'listening');
  const address = `127.0.0.1:${(plain.address() as AddressInfo).port}`;
  const { source, events } = sourceFrom(stores, [address]);
  await expect(source.provide([wantTool('/bin')], neverAborted)).rejects.toThrow(address);
  expect(events.map(({ type }) => type)).toEqual(['import-waiting', 'import-waiting']);
});

test('controllers that nobody reaches are waited for, and then all are named', async () => {
  const stores = await makeStores();
  const [one, two] = [await stopped(), await stopped()];
  const { source, events } = sourceFrom(stores, [one, two]);
  await expect(source.provide([wantTool('/bin')], neverAborted)).rejects.toMatchObject({
    what: 'find tool 1.0.0 (amd64) at the controllers',
    why: `${one}: ${one} refuses connections; ${two}: ${two} refuses connections`,
  });
  expect(events).toMatchObject([
    { type: 'import-waiting', why: expect.stringContaining(one), retryInMs: 4 },
    { type: 'import-waiting', retryInMs: 8 },
  ]);
});

test('an image that cannot be had for now keeps no node from starting', async () => {
  const stores = await makeStores();
  const { source, events } = sourceFrom(stores, [await stopped()]);
  await ensureArtifacts([hello], ensureOptions(stores, source));
  expect(events.at(-1)).toMatchObject({
    type: 'source-failed',
    why: expect.stringMatching(/refuses connections/),
  });
});

test('a busy controller is waited for as long as it says, and that is no failure', async () => {
  const stores = await makeStores();
  let refusals = 0;
  const registry = await startRegistry({
    ...{ store: stores.from, authority: stores.authority },
    intercept: (request, response) => {
      if (request.url?.includes('/blobs/') !== true || refusals === 5) return false;
      refusals += 1;
      response.writeHead(503, { 'retry-after': '0' }).end();
      return true;
    },
  });
  const { source, events } = sourceFrom(stores, [registry.address], { random: () => 0 });
  await source.provide([wantTool('/bin')], neverAborted);
  expect(refusals).toBe(5);
  const waits = events.flatMap((event) => (event.type === 'import-waiting' ? [event] : []));
  expect(waits).toHaveLength(5);
  expect(waits[0]).toMatchObject({ why: `${registry.address} is busy`, retryInMs: 500 });
});

test('an abort ends it, in a pause and in a download', async () => {
  const stores = await makeStores();
  const stopping = new AbortController();
  const registry = await startRegistry({
    ...{ store: stores.from, authority: stores.authority },
    intercept: (request, response) => {
      if (request.url?.includes(digestOf(stores, 'beta')) !== true) return false;
      response.writeHead(200, { 'content-length': 300_000 }).write(Buffer.alloc(1000));
      setImmediate(() => stopping.abort(new Error('stopping')));
      return true;
    },
  });
  const { source } = sourceFrom(stores, [registry.address]);
  await expect(source.provide([wantTool('/bin')], stopping.signal)).rejects.toThrow('stopping');

  const pausing = new AbortController();
  const late = sourceFrom(stores, [await stopped()], {
    timing: { firstPauseMs: 60_000 },
    onEvent: () => pausing.abort(new Error('stopping too')),
  });
  await expect(late.source.provide([wantTool('/bin')], pausing.signal)).rejects.toThrow(
    'stopping too',
  );
});
