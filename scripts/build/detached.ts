import path from 'node:path';
import type { Plugin } from 'esbuild';
import { detachedPrefix } from './detached-loader.ts';

/**
 * What a node needs for a moment only, by the name of its chunk: a chunk is compiled when one of its modules is imported,
 * and goes, source and all, when nobody uses it any more. Everything else stays in memory once it has run. A chunk has
 * its own copy of what it imports, so these are leaves: no class of ours may be in one, nor any state.
 */
const chunks: Readonly<Record<string, readonly string[]>> = {
  'config-schema': ['src/config/schema.ts', 'src/config/json-schema.ts'],
  yaml: ['yaml'],
};

/** Only ever a part of a chunk. */
const libraries = ['zod', 'yaml'];

/** Of these a chunk must not have a copy: `instanceof` would not know the other one. */
const shared = ['src/base/errors.ts'];

/** An entry for each chunk, for a bundle of its own. */
export function detachedEntries(): readonly { readonly name: string; readonly code: string }[] {
  return Object.entries(chunks).map(([name, modules]) => ({
    name,
    code: modules.map((module) => `export * from '${specifier(module)}';`).join('\n'),
  }));
}

/** Makes `import()` of what is in a chunk a call of the loader. */
export function detachedPlugin(root: string): Plugin {
  const nameOf = new Map(
    Object.entries(chunks).flatMap(([name, modules]) => modules.map((module) => [module, name])),
  );
  return {
    name: 'detached',
    setup: (build) => {
      build.onResolve({ filter: /./ }, ({ path: wanted, resolveDir, kind }) => {
        if (kind !== 'dynamic-import') return undefined;
        const module = wanted.startsWith('.')
          ? path.relative(root, path.resolve(resolveDir, wanted))
          : wanted;
        const name = nameOf.get(module);
        return name === undefined
          ? undefined
          : { path: `${detachedPrefix}${name}`, external: true };
      });
    },
  };
}

/** @throws Error when the program holds what was to be detached, or a chunk what must be there once. */
export function requireDetached(
  program: readonly string[],
  parts: Readonly<Record<string, readonly string[]>>,
): void {
  const held = program.find((file) => isDetached(file));
  if (held !== undefined) {
    throw new Error(`the program would hold ${held} for ever: import it by import(), or its types`);
  }
  for (const [name, files] of Object.entries(parts)) {
    const twice = files.find((file) => shared.includes(file));
    if (twice !== undefined) throw new Error(`${twice} would be there twice: chunk ${name} has it`);
  }
}

function isDetached(file: string): boolean {
  return (
    Object.values(chunks).flat().includes(file) ||
    libraries.some((library) => file.startsWith(`node_modules/${library}/`))
  );
}

function specifier(module: string): string {
  return module.startsWith('src/') ? `./${module}` : module;
}
