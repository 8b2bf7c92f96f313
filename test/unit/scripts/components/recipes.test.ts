import { describe, expect, test } from 'vitest';
import { goRecipe, goRecipes } from '../../../../scripts/components/go-recipes.ts';
import { imageRecipes } from '../../../../scripts/components/image-recipes.ts';
import {
  goBuildArguments,
  hashGoRecipe,
  hashImageRecipe,
  renderLdflags,
} from '../../../../scripts/components/recipe-hash.ts';
import { componentMembers, isComponentName } from '../../../../src/artifacts/catalog.ts';

describe('recipes', () => {
  test.each(goRecipes.filter(({ name }) => isComponentName(name)))(
    '$name has exactly the executables of the catalog',
    ({ name, executables }) => {
      if (!isComponentName(name)) throw new Error(`${name} is not in the catalog`);
      expect(executables.map((executable) => executable.name).toSorted()).toEqual(
        componentMembers(name).toSorted(),
      );
    },
  );

  test('no two executables have one name: they share a directory', () => {
    const names = goRecipes.flatMap(({ executables }) => executables.map(({ name }) => name));
    expect(new Set(names).size).toBe(names.length);
  });

  test('every image path is absolute and given once', () => {
    for (const { parts } of imageRecipes) {
      const paths = parts.flatMap((part) => {
        if (part.kind === 'links') return part.paths;
        return 'path' in part ? [part.path] : [];
      });
      expect(paths.filter((path) => !path.startsWith('/'))).toEqual([]);
      expect(new Set(paths).size).toBe(paths.length);
    }
  });
});

describe('renderLdflags', () => {
  test('fills versions into variables', () => {
    const flags = renderLdflags(goRecipe('kubernetes'), '1.37.1');
    expect(flags).toContain('-s -w -X k8s.io/component-base/version.gitVersion=v1.37.1 ');
    expect(flags).toContain('-X k8s.io/client-go/pkg/version.gitMinor=37 ');
    expect(flags).not.toMatch(/[{}]/);
  });

  test('links statically where there is C code, and only there', () => {
    expect(renderLdflags(goRecipe('runc'), '1.5.2')).toBe(
      "-s -w -linkmode external -extldflags '-static' -X main.version=1.5.2",
    );
    expect(renderLdflags(goRecipe('etcd'), '3.7.1')).toBe('-s -w');
  });
});

test('goBuildArguments never depend on where the source is', () => {
  for (const recipe of goRecipes) expect(goBuildArguments(recipe, '1.2.3')).toContain('-trimpath');
});

describe('hashes', () => {
  const input = {
    recipe: goRecipe('runc'),
    version: '1.5.2',
    arch: 'amd64',
    goVersion: '1.26.8',
    files: { 'go.mod': 'a', 'go.sum': 'b', 'tools.go': 'c' },
  } as const;

  test('are the same for the same input in another order', () => {
    const files = { 'tools.go': 'c', 'go.sum': 'b', 'go.mod': 'a' };
    expect(hashGoRecipe({ ...input, files })).toBe(hashGoRecipe(input));
    expect(hashGoRecipe(input)).toMatch(/^[0-9a-f]{16}$/);
  });

  test.each([
    { version: '1.5.3' },
    { arch: 'arm64' as const },
    { goVersion: '1.26.9' },
    { files: { ...input.files, 'go.sum': 'B' } },
    { files: { ...input.files, 'tools.go': 'C' } },
    { recipe: { ...input.recipe, tags: [] } },
    { recipe: { ...input.recipe, variables: {} } },
  ])('change with %j', (change) => {
    expect(hashGoRecipe({ ...input, ...change })).not.toBe(hashGoRecipe(input));
  });

  test('of an image change with what is inside', () => {
    const [recipe] = imageRecipes;
    if (recipe === undefined) throw new Error('no image recipes');
    const image = {
      recipe,
      reference: 'a/b:1',
      arch: 'amd64',
      components: {},
      sources: {},
    } as const;
    const hash = hashImageRecipe(image);
    expect(hashImageRecipe({ ...image, sources: { 'pause.c': '' } })).not.toBe(hash);
    expect(hashImageRecipe({ ...image, components: { coredns: '0' } })).not.toBe(hash);
    expect(hashImageRecipe({ ...image, reference: 'a/b:2' })).not.toBe(hash);
    expect(hashImageRecipe({ ...image, recipe: { ...recipe, config: {} } })).not.toBe(hash);
  });
});
