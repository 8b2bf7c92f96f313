import { describe, expect, test } from 'vitest';
import { configure } from '../../../../scripts/conformance-suite/busybox.ts';
import { packagesOf } from '../../../../scripts/conformance-suite/provide-layer.ts';
import { imageConfig, suiteImages } from '../../../../scripts/conformance-suite/suite-images.ts';
import { suiteLayers } from '../../../../scripts/conformance-suite/suite-layers.ts';
import { suitePrograms } from '../../../../scripts/conformance-suite/suite-programs.ts';

const layers = Object.values(suiteLayers);

describe('images of the conformance suite', () => {
  test('two tags of the same layers are two images', () => {
    const configs = suiteImages.map((image) => JSON.stringify(imageConfig(image)));
    expect(new Set(configs).size).toBe(suiteImages.length);
    expect(new Set(suiteImages.map(({ reference }) => reference)).size).toBe(suiteImages.length);
  });

  test('every layer is in an image, and every program in a layer or run by itself', () => {
    const used = new Set(suiteImages.flatMap((image) => image.layers));
    expect(layers.filter((layer) => !used.has(layer))).toEqual([]);
    const inside = layers.flatMap(({ parts }) =>
      parts.flatMap((part) => (part.kind === 'program' ? [part.program] : [])),
    );
    const others = suitePrograms.map(({ name }) => name).filter((name) => !inside.includes(name));
    expect(others).toEqual(['e2e.test', 'ginkgo']);
  });

  test('names of layers are cache keys: no two are the same', () => {
    expect(new Set(layers.map(({ name }) => name)).size).toBe(layers.length);
  });

  test('keeps the set-user-id bit that its test is about, and lets everybody write to /tmp', () => {
    expect(suiteLayers.nonewprivs.parts).toContainEqual(
      expect.objectContaining({ path: '/usr/local/bin/nnp', mode: 0o6755 }),
    );
    for (const layer of [suiteLayers.base, suiteLayers.etcd]) {
      expect(layer.parts).toContainEqual({ kind: 'directory', path: '/tmp', mode: 0o1777 });
    }
  });

  test('lists the Debian packages of all layers once', () => {
    const packages = packagesOf(layers);
    expect(packages).toContain('bind9-dnsutils');
    expect(packages).toEqual([...new Set(packages)].sort());
  });
});

test('busybox is configured as upstream does, but static and without what does not compile everywhere', () => {
  const upstream =
    '# CONFIG_STATIC is not set\nCONFIG_SHA1_HWACCEL=y\nCONFIG_TC=y\nCONFIG_TCPSVD=y\n';
  expect(configure(upstream)).toBe(
    'CONFIG_TCPSVD=y\nCONFIG_STATIC=y\n# CONFIG_TC is not set\n# CONFIG_SHA1_HWACCEL is not set\n',
  );
});
