import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { imageReference } from '../../src/artifacts/catalog.ts';
import type { Architecture } from '../../src/artifacts/types.ts';
import { throwCollected, UserError } from '../../src/base/errors.ts';
import type { CacheKey } from './component-cache.ts';
import { readModuleFiles } from './go-build.ts';
import { type GoRecipe, goRecipes } from './go-recipes.ts';
import { goVersion } from './go-toolchain.ts';
import { type ImageRecipe, imageRecipes } from './image-recipes.ts';
import { findPinConflicts, parseGoMod, pinnedVersion } from './pins.ts';
import { hashGoRecipe, hashImageRecipe } from './recipe-hash.ts';

/** What is to be made, with the keys under which the cache knows it. Nothing has been built or downloaded. */
export interface BuildPlan {
  readonly arch: Architecture;
  /** scripts/components. */
  readonly sourceDirectory: string;
  readonly go: readonly PlannedGo[];
  readonly images: readonly PlannedImage[];
  /** False when `--only` left something out. */
  readonly isComplete: boolean;
}

export interface PlannedGo {
  readonly recipe: GoRecipe;
  readonly version: string;
  readonly key: CacheKey;
}

export interface PlannedImage {
  readonly recipe: ImageRecipe;
  readonly reference: string;
  readonly key: CacheKey;
}

export interface PlanOptions {
  readonly arch: Architecture;
  readonly sourceDirectory: string;
  /** Names of components and images; empty means all. What a named image contains is built too. */
  readonly only: readonly string[];
}

/**
 * Reads the wrapper modules and computes every recipe hash.
 * @throws UserError for a name that does not exist, or a go.mod that disagrees with assets/artifacts.json.
 */
export async function planBuild(options: PlanOptions): Promise<BuildPlan> {
  const { arch, sourceDirectory, only } = options;
  requireKnownNames(only);
  const allGo = await planGo(options);
  const hashes = new Map<string, string>(allGo.map(({ key }) => [key.name, key.hash]));
  const isWanted = (name: string) => only.length === 0 || only.includes(name);
  const images = await Promise.all(
    imageRecipes
      .filter((recipe) => isWanted(recipe.name))
      .map((recipe) => planImage(recipe, options, hashes)),
  );
  const inside = new Set<string>(images.flatMap(({ recipe }) => componentsOf(recipe)));
  const go = allGo.filter(({ recipe }) => isWanted(recipe.name) || inside.has(recipe.name));
  return { arch, sourceDirectory, go, images, isComplete: only.length === 0 };
}

function requireKnownNames(only: readonly string[]): void {
  const names = [...new Set([...goRecipes, ...imageRecipes].map((recipe) => recipe.name))];
  const unknown = only.filter((name) => !names.some((known) => known === name));
  throwCollected(
    unknown.map(
      (name) =>
        new UserError({
          what: `build ${name}`,
          why: 'there is no such component or image',
          fix: `--only takes ${names.join(', ')}`,
        }),
    ),
  );
}

async function planGo({ arch, sourceDirectory }: PlanOptions): Promise<readonly PlannedGo[]> {
  const conflicts: UserError[] = [];
  const planned: PlannedGo[] = [];
  for (const recipe of goRecipes) {
    const version = pinnedVersion(recipe.name);
    const files = await readModuleFiles(path.join(sourceDirectory, recipe.name));
    conflicts.push(...findPinConflicts(recipe, version, parseGoMod(files['go.mod'])));
    const hash = hashGoRecipe({ recipe, version, arch, goVersion, files });
    planned.push({ recipe, version, key: { name: recipe.name, hash } });
  }
  throwCollected(conflicts);
  return planned;
}

async function planImage(
  recipe: ImageRecipe,
  { arch, sourceDirectory }: PlanOptions,
  hashes: ReadonlyMap<string, string>,
): Promise<PlannedImage> {
  const reference =
    recipe.name === 'busybox' ? (recipe.testReference ?? '') : imageReference(recipe.name);
  const components = Object.fromEntries(
    componentsOf(recipe).map((name) => [name, hashes.get(name) ?? '']),
  );
  const sources: Record<string, string> = {};
  for (const part of recipe.parts) {
    if (part.kind !== 'c') continue;
    sources[part.source] = await readFile(path.join(sourceDirectory, part.source), 'utf8');
  }
  const hash = hashImageRecipe({ recipe, reference, arch, components, sources });
  return { recipe, reference, key: { name: `image-${recipe.name}`, hash } };
}

function componentsOf(recipe: ImageRecipe): readonly GoRecipe['name'][] {
  return recipe.parts.flatMap((part) => (part.kind === 'go' ? [part.component] : []));
}
