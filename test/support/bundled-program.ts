import path from 'node:path';
import { build } from 'esbuild';

/** A program of test/fixtures as one file of plain JavaScript: a process that strips types needs memory for that. */
export async function bundleProgram(folder: string, name: string): Promise<string> {
  const outfile = path.join(folder, `${name}.mjs`);
  await build({
    entryPoints: [path.resolve(import.meta.dirname, `../fixtures/${name}.ts`)],
    ...{ outfile, bundle: true, platform: 'node', format: 'esm', minify: true },
    banner: {
      js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);",
    },
  });
  return outfile;
}
