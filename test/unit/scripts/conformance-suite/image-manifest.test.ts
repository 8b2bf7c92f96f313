import { describe, expect, test } from 'vitest';
import {
  findImageConflicts,
  parseImageManifest,
} from '../../../../scripts/conformance-suite/image-manifest.ts';

const manifest = `
	initRegistry = RegistryList{
		// TODO: one registry less
		PromoterE2eRegistry:      "registry.example/tests",
		GcRegistry:               "registry.example",
	}

	configs[Agnhost] = Config{list.PromoterE2eRegistry, "agnhost", "2.66.1"}
	// Pause - when these values are updated, also update something else
	configs[Pause] = Config{list.GcRegistry, "pause", "3.10.2"}
	configs[VolumeNFSServer] = Config{list.PromoterE2eRegistry, "volume/nfs", "1.6.0"}
			configs[i] = config
`;
const agnhost = { upstreamName: 'Agnhost', reference: 'registry.example/tests/agnhost:2.66.1' };
const pause = { upstreamName: 'Pause', reference: 'registry.example/pause:3.10.2' };

describe("upstream's list of test images", () => {
  test('is read by name', () => {
    expect([...parseImageManifest(manifest)]).toEqual([
      ['Agnhost', 'registry.example/tests/agnhost:2.66.1'],
      ['Pause', 'registry.example/pause:3.10.2'],
      ['VolumeNFSServer', 'registry.example/tests/volume/nfs:1.6.0'],
    ]);
  });

  test('is not taken for short when it is written in another way', () => {
    const other = manifest.replace('Config{list.GcRegistry, "pause"', 'imageOf(list, "pause"');
    expect(() => parseImageManifest(other)).toThrow('imageOf(list, "pause"');
    expect(() => parseImageManifest(manifest.replace('GcRegistry:  ', 'Other:'))).toThrow('pause');
    expect(() => parseImageManifest('package image\n')).toThrow('no image is in it');
  });
});

describe('images made here', () => {
  const upstream = parseImageManifest(manifest);

  test('are those that the tests ask for', () => {
    expect(findImageConflicts([agnhost, pause], upstream)).toEqual([]);
  });

  test('of another version are named with both versions', () => {
    const older = { ...agnhost, reference: 'registry.example/tests/agnhost:2.55' };
    const [conflict, ...others] = findImageConflicts([older, pause], upstream);
    expect(others).toEqual([]);
    expect(conflict?.what).toBe('make the test image Agnhost');
    expect(conflict?.why).toContain('agnhost:2.55');
    expect(conflict?.why).toContain('agnhost:2.66.1');
    expect(conflict?.fix).toContain('suite-images.ts');
  });

  test('of a name that upstream dropped are named too', () => {
    const gone = { upstreamName: 'Jessie', reference: 'registry.example/tests/jessie:1' };
    const conflicts = findImageConflicts([agnhost, pause, gone], upstream);
    expect(conflicts.map(({ why }) => why)).toEqual([
      expect.stringMatching(/jessie:1, but .* none of this name$/),
    ]);
  });

  test('that nobody decided about are asked for', () => {
    const conflicts = findImageConflicts([pause], upstream);
    expect(conflicts.map(({ why }) => why)).toEqual([
      expect.stringMatching(/Agnhost, registry\.example\/tests\/agnhost:2\.66\.1$/),
    ]);
  });
});
