import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseImageReference } from '../../../src/artifacts/image-reference.ts';
import {
  acceptsIndex,
  parseRange,
  parseRegistryRequest,
} from '../../../src/artifacts/registry-request.ts';

const hex = '0123456789abcdef'.repeat(4);
const digest = `sha256:${hex}`;

describe('the target of a request', () => {
  test.each([
    ['/v2/', { kind: 'base' }],
    ['/v2', { kind: 'base' }],
    [
      '/v2/pause/manifests/3.10.2?ns=registry.k8s.io',
      { kind: 'manifest', repository: 'pause', registry: 'registry.k8s.io', version: '3.10.2' },
    ],
    [
      '/v2/pause/manifests/3.10.2?ns=127.0.0.1%3A5000',
      { kind: 'manifest', repository: 'pause', registry: '127.0.0.1:5000', version: '3.10.2' },
    ],
    [
      `/v2/coredns/coredns/manifests/${digest}`,
      { kind: 'manifest', repository: 'coredns/coredns', registry: undefined, version: digest },
    ],
    [`/v2/a/b/c/blobs/sha256%3A${hex}`, { kind: 'blob', repository: 'a/b/c', digest }],
    // A repository may be called like an endpoint.
    [
      '/v2/manifests/blobs/manifests/v1',
      { kind: 'manifest', repository: 'manifests/blobs', registry: undefined, version: 'v1' },
    ],
    ['/v2/a/tags/list?n=5', { kind: 'tags', repository: 'a', registry: undefined }],
  ])('%s is understood', (target, expected) => {
    expect(parseRegistryRequest(target)).toEqual(expected);
  });

  test.each([
    ['/v2/../etc/passwd', 404, 'UNSUPPORTED'],
    ['/v2/../../manifests/v1', 400, 'NAME_INVALID'],
    ['/v2/..%2f..%2f/manifests/v1', 400, 'NAME_INVALID'],
    ['/v2/a//b/manifests/v1', 400, 'NAME_INVALID'],
    ['/v2/A/manifests/v1', 400, 'NAME_INVALID'],
    [`/v2/${'a'.repeat(256)}/manifests/v1`, 400, 'NAME_INVALID'],
    ['/v2/a%00b/manifests/v1', 400, 'NAME_INVALID'],
    ['/v2/%E0%A4%A/manifests/v1', 404, 'UNSUPPORTED'],
    ['/v2/a/blobs/sha256:..%2f..%2fetc', 404, 'UNSUPPORTED'],
    ['/v2/a/blobs/../../../index.json', 404, 'UNSUPPORTED'],
    ['/v2/a/blobs/sha256:abc', 400, 'DIGEST_INVALID'],
    [`/v2/a/blobs/sha512:${hex}${hex}`, 400, 'DIGEST_INVALID'],
    [`/v2/a/blobs/sha256:${hex.toUpperCase()}`, 400, 'DIGEST_INVALID'],
    [`/v2/a/manifests/sha256:${hex}0`, 400, 'DIGEST_INVALID'],
    ['/v2/a/manifests/.hidden', 404, 'MANIFEST_UNKNOWN'],
    [`/v2/a/manifests/${'v'.repeat(129)}`, 404, 'MANIFEST_UNKNOWN'],
    ['/v2/_catalog', 404, 'UNSUPPORTED'],
    ['/v2/a/referrers/x', 404, 'UNSUPPORTED'],
    ['/v1/', 404, 'UNSUPPORTED'],
  ])('%s is refused with %i %s', (target, status, code) => {
    expect(parseRegistryRequest(target)).toMatchObject({ kind: 'refused', status, code });
  });

  test('never gives a name that could lead out of a directory, whatever it is', () => {
    const part = fc.constantFrom('..', '.', '%2e%2e', '/', '%2f', 'a', 'manifests', 'blobs', '\\');
    const target = fc.array(part).map((parts) => `/v2/${parts.join('/')}/manifests/v1`);
    fc.assert(
      fc.property(fc.oneof(target, fc.string()), (text) => {
        const parsed = parseRegistryRequest(text);
        if (!('repository' in parsed)) return;
        expect(parsed.repository).toMatch(/^[a-z0-9]/);
        expect(parsed.repository.split('/')).not.toContain('..');
      }),
    );
  });
});

describe('Range', () => {
  const etag = `"${digest}"`;
  test.each([
    [undefined, undefined, { kind: 'whole' }],
    ['bytes=0-', undefined, { kind: 'part', start: 0, end: 1000 }],
    ['bytes=10-19', undefined, { kind: 'part', start: 10, end: 20 }],
    ['bytes=999-', undefined, { kind: 'part', start: 999, end: 1000 }],
    ['bytes=990-5000', undefined, { kind: 'part', start: 990, end: 1000 }],
    ['bytes=-10', undefined, { kind: 'part', start: 990, end: 1000 }],
    ['bytes=-5000', undefined, { kind: 'part', start: 0, end: 1000 }],
    ['bytes=-0', undefined, { kind: 'unsatisfiable' }],
    ['bytes=1000-', undefined, { kind: 'unsatisfiable' }],
    ['bytes=99999999999999999999999-', undefined, { kind: 'unsatisfiable' }],
    ['bytes=20-10', undefined, { kind: 'whole' }],
    ['bytes=0-1,5-6', undefined, { kind: 'whole' }],
    ['bytes=-', undefined, { kind: 'whole' }],
    ['lines=0-1', undefined, { kind: 'whole' }],
    ['bytes=10-19', etag, { kind: 'part', start: 10, end: 20 }],
    ['bytes=10-19', '"other"', { kind: 'whole' }],
    ['bytes=10-19', `W/${etag}`, { kind: 'whole' }],
  ])('%s with If-Range %s of 1000 bytes', (range, ifRange, expected) => {
    expect(parseRange({ range, ifRange }, { size: 1000, etag })).toEqual(expected);
  });

  test('of nothing has no part', () => {
    expect(parseRange({ range: 'bytes=0-' }, { size: 0, etag })).toEqual({ kind: 'unsatisfiable' });
  });

  test('never leads out of the content', () => {
    fc.assert(
      fc.property(
        fc.nat(),
        fc.nat(),
        fc.nat(),
        fc.constantFrom('a', 'b', 'c'),
        (a, b, size, form) => {
          const range = { a: `bytes=${a}-`, b: `bytes=-${b}`, c: `bytes=${a}-${b}` }[form];
          const part = parseRange({ range }, { size, etag });
          if (part.kind !== 'part') return;
          expect(part.start).toBeGreaterThanOrEqual(0);
          expect(part.start).toBeLessThan(part.end);
          expect(part.end).toBeLessThanOrEqual(size);
        },
      ),
    );
  });
});

test.each([
  [undefined, true],
  ['*/*', true],
  ['application/vnd.oci.image.index.v1+json;q=0.5, text/plain', true],
  ['application/vnd.oci.image.manifest.v1+json', false],
])('Accept: %s takes an index: %s', (accept, expected) => {
  expect(acceptsIndex(accept)).toBe(expected);
});

test.each([
  ['registry.k8s.io/pause:3.10.2', 'registry.k8s.io', 'pause', '3.10.2'],
  ['docker.io/cloudnativelabs/kube-router:v2', 'docker.io', 'cloudnativelabs/kube-router', 'v2'],
  ['localhost:5000/a/b', 'localhost:5000', 'a/b', 'latest'],
  ['localhost/a:1', 'localhost', 'a', '1'],
  ['busybox:1.36', 'docker.io', 'library/busybox', '1.36'],
  ['library/busybox', 'docker.io', 'library/busybox', 'latest'],
  [`quay.io/a/b:v1@${digest}`, 'quay.io', 'a/b', digest],
])('%s is %s %s %s', (reference, registry, repository, version) => {
  expect(parseImageReference(reference)).toEqual({ registry, repository, version });
});

test.each(['', 'a b', 'registry.k8s.io/', 'registry.k8s.io/../x:1', 'a:b:c', 'x@sha256:12'])(
  '"%s" is no reference',
  (reference) => {
    expect(parseImageReference(reference)).toBeUndefined();
  },
);
