import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { canonicalJson } from '../../../src/artifacts/canonical-json.ts';
import {
  checkLayoutMarker,
  describeContent,
  entryContent,
  executableName,
  parseIndex,
  parseManifest,
} from '../../../src/artifacts/oci-documents.ts';
import { entryKey, renderIndex } from '../../../src/artifacts/oci-layout.ts';
import type { Descriptor } from '../../../src/artifacts/types.ts';

const digest = `sha256:${'0123456789abcdef'.repeat(4)}`;

const component: Descriptor = {
  mediaType: 'application/vnd.oci.image.manifest.v1+json',
  digest,
  size: 716,
  artifactType: 'application/vnd.mini-k8s.component.v1',
  platform: { os: 'linux', architecture: 'amd64' },
  annotations: {
    'org.opencontainers.image.ref.name': 'etcd:3.7.1',
    'mini-k8s.io/built-from': 'source',
  },
};

const image: Descriptor = {
  mediaType: 'application/vnd.oci.image.manifest.v1+json',
  digest,
  size: 401,
  platform: { os: 'linux', architecture: 'arm64' },
  annotations: {
    'io.containerd.image.name': 'registry.k8s.io/pause:3.10.2',
    'org.opencontainers.image.ref.name': 'registry.k8s.io/pause:3.10.2',
  },
};

describe('canonicalJson', () => {
  test('sorts keys at every depth and keeps the order of lists', () => {
    expect(canonicalJson({ b: [{ d: 1, c: undefined }, 2, 1], a: { z: null, y: 'ä' } })).toBe(
      '{"a":{"y":"ä","z":null},"b":[{"d":1},2,1]}',
    );
  });

  test('of equal values is equal, whatever the order of their keys', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (record) => {
        const reversed = Object.fromEntries(Object.entries(record).reverse());
        expect(canonicalJson(reversed)).toBe(canonicalJson(record));
        expect(JSON.parse(canonicalJson(record))).toEqual(JSON.parse(JSON.stringify(record)));
      }),
    );
  });
});

describe('index.json', () => {
  test('is one text for one set of entries', () => {
    expect(renderIndex([image, component])).toBe(renderIndex([component, image]));
  });

  test('is read as it was written', () => {
    const index = parseIndex(renderIndex([image, component]), 'index.json');
    expect(index.manifests).toEqual([component, image]);
  });

  test.each<[string, unknown, RegExp]>([
    ['no JSON', '{', /^Cannot read x: it is not JSON/],
    ['a list', [], /it is not a JSON object/],
    ['schema 1', { schemaVersion: 1, manifests: [] }, /schemaVersion is 1, not 2/],
    ['no manifests', { schemaVersion: 2 }, /manifests is not a list/],
    ['a text as entry', withEntry('text'), /manifests\[0\] is not an object/],
    ['no media type', withEntry({ digest, size: 1 }), /manifests\[0\]\.mediaType is not a string/],
    ['sha512', withEntry({ ...image, digest: 'sha512:00' }), /digest is "sha512:00", not sha256:/],
    ['capitals', withEntry({ ...image, digest: digest.toUpperCase() }), /digest is "SHA256:/],
    [
      'a path',
      withEntry({ ...image, digest: `sha256:../${'a'.repeat(61)}` }),
      /digest is "sha256:\.\./,
    ],
    ['no size', withEntry({ ...image, size: undefined }), /size is undefined/],
    ['half a byte', withEntry({ ...image, size: 0.5 }), /size is 0\.5, not a number of bytes/],
    ['more than exists', withEntry({ ...image, size: 2 ** 60 }), /size is 1152921504606847000/],
  ])('with %s is refused', (_name, document, message) => {
    const text = typeof document === 'string' ? document : JSON.stringify(document);
    expect(() => parseIndex(text, 'x')).toThrow(message);
  });

  test('never makes the reader fail in another way', () => {
    fc.assert(
      fc.property(fc.json(), (text) => {
        expect(failureName(() => parseIndex(text, 'x'))).toMatch(/^(none|UserError)$/);
        expect(failureName(() => parseManifest(text, 'x'))).toMatch(/^(none|UserError)$/);
        expect(failureName(() => checkLayoutMarker(text, 'x'))).toMatch(/^(none|UserError)$/);
      }),
    );
  });
});

describe('an entry', () => {
  test('says what it is', () => {
    const skopeo: Descriptor = {
      ...image,
      annotations: { 'org.opencontainers.image.ref.name': 'example.test/app:2' },
    };
    const signature: Descriptor = { ...image, artifactType: 'application/vnd.other' };
    const { annotations: _none, ...anonymous } = image;
    expect(
      [component, image, skopeo, signature, anonymous].map(entryContent).map(describeContent),
    ).toEqual([
      'etcd 3.7.1 (amd64)',
      'image registry.k8s.io/pause:3.10.2 (arm64)',
      'image example.test/app:2 (arm64)',
      'an entry of another kind',
      'an entry of another kind',
    ]);
  });

  test('is replaced only by one of the same kind, name and platform', () => {
    const arm: Descriptor = { ...component, platform: { os: 'linux', architecture: 'arm64' } };
    const rebuilt: Descriptor = { ...component, digest: `sha256:${'f'.repeat(64)}` };
    expect(entryKey(rebuilt)).toBe(entryKey(component));
    expect(entryKey(arm)).not.toBe(entryKey(component));
  });
});

describe('the name of an executable', () => {
  test.each([
    ['kube-apiserver', 'kube-apiserver'],
    ['containerd-shim-runc-v2', 'containerd-shim-runc-v2'],
    ['../kubelet', undefined],
    ['.hidden', undefined],
    ['a/b', undefined],
    ['', undefined],
  ])('%j is read as %j', (title, name) => {
    const layer: Descriptor = {
      mediaType: 'application/vnd.mini-k8s.executable.v1',
      digest,
      size: 1,
      annotations: { 'org.opencontainers.image.title': title },
    };
    expect(executableName(layer)).toBe(name);
    expect(executableName({ ...layer, mediaType: 'text/plain' })).toBeUndefined();
  });
});

function withEntry(entry: unknown): unknown {
  return { schemaVersion: 2, manifests: [entry] };
}

function failureName(act: () => unknown): string {
  try {
    act();
    return 'none';
  } catch (error) {
    return error instanceof Error ? error.name : 'no error';
  }
}
