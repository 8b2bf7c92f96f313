import { createHash } from 'node:crypto';
import { canonicalJson } from '../../src/artifacts/canonical-json.ts';
import type { Architecture } from '../../src/artifacts/types.ts';
import type { GoRecipe } from './go-recipes.ts';
import type { ImageRecipe } from './image-recipes.ts';
import { fillVersion } from './pins.ts';
import { zstdLevel } from './tar-layer.ts';

/** Raised when the way of building changes so that equal recipes no longer mean equal results. */
const builderGeneration = 1;

/** What of a recipe the Go tool is told in its arguments. */
type GoSettings = Pick<GoRecipe, 'tags' | 'variables' | 'cgoPackages'>;

/** `go build` arguments that decide the result; `-o` and packages come after them. */
export function goBuildArguments(recipe: GoSettings, version: string): readonly string[] {
  const tags = recipe.tags ?? [];
  return [
    '-trimpath',
    ...(tags.length === 0 ? [] : ['-tags', tags.join(',')]),
    '-ldflags',
    renderLdflags(recipe, version),
  ];
}

/** `-s -w`, static linking of C code where there is some, and one `-X name=value` per variable, in order. */
export function renderLdflags(recipe: GoSettings, version: string): string {
  const variables = Object.entries(recipe.variables ?? {}).map(
    ([name, value]) => `-X ${name}=${fillVersion(value, version)}`,
  );
  const isCgo = recipe.cgoPackages !== undefined;
  return [
    '-s -w',
    ...(isCgo ? ["-linkmode external -extldflags '-static'"] : []),
    ...variables,
  ].join(' ');
}

export interface GoRecipeInput {
  readonly recipe: GoRecipe;
  readonly version: string;
  readonly arch: Architecture;
  readonly goVersion: string;
  /** Contents of go.mod, go.sum and tools.go, by file name. */
  readonly files: Readonly<Record<string, string>>;
}

/** 16 hex digits that change whenever the executables could. */
export function hashGoRecipe(input: GoRecipeInput): string {
  return shortHash({
    builderGeneration,
    arguments: goBuildArguments(input.recipe, input.version),
    executables: input.recipe.executables,
    arch: input.arch,
    goVersion: input.goVersion,
    files: input.files,
  });
}

export interface ImageRecipeInput {
  readonly recipe: ImageRecipe;
  readonly reference: string;
  readonly arch: Architecture;
  /** Recipe hashes of the Go components inside. */
  readonly components: Readonly<Record<string, string>>;
  /** Contents of C sources, by path. */
  readonly sources: Readonly<Record<string, string>>;
}

/** 16 hex digits that change whenever the image could; Debian's packages count as they are when it is built. */
export function hashImageRecipe(input: ImageRecipeInput): string {
  return shortHash({ builderGeneration, zstdLevel, ...input });
}

/** 16 hex digits of a value that can be written as JSON. */
export function shortHash(value: unknown): string {
  return createHash('sha256').update(canonicalJson(value)).digest('hex').slice(0, 16);
}
