import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { build } from 'esbuild';
import { requireAscii } from './require-ascii.ts';

export interface Bundle {
  /** One CommonJS file: the single executable application of Node 24 takes no other kind. */
  readonly code: Uint8Array;
  /** Directories below the root whose files are in it, sorted: `node_modules/yaml`. */
  readonly packages: readonly string[];
}

/**
 * Bundles a program with everything it imports. The same input gives the same bytes, in any directory.
 * @param entry below the root; `src/main.ts` unless given.
 */
export async function bundleProgram(
  root: string,
  version: string,
  entry = 'src/main.ts',
): Promise<Bundle> {
  const result = await build({
    absWorkingDir: root,
    entryPoints: [entry],
    outfile: 'mini-k8s.cjs',
    write: false,
    metafile: true,
    bundle: true,
    platform: 'node',
    target: 'node24',
    format: 'cjs',
    minify: true,
    legalComments: 'none',
    logLevel: 'warning',
    // import() becomes a lazy require() inside the one file: an executable has no module loader for import().
    supported: { 'dynamic-import': false },
    define: { __VERSION__: JSON.stringify(version), 'import.meta.url': '__importMetaUrl' },
    banner: {
      js: 'var __importMetaUrl=require("node:url").pathToFileURL(__filename).href;',
    },
  });
  const [output] = result.outputFiles;
  if (output === undefined) throw new Error('esbuild wrote no bundle');
  requireAscii(output.text);
  const packages = new Set(Object.keys(result.metafile.inputs).flatMap(packageOf));
  return { code: output.contents, packages: [...packages].sort() };
}

function packageOf(file: string): string[] {
  const match = /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(file);
  return match?.[1] === undefined ? [] : [match[1]];
}

/** The license texts of what the executable carries, as their authors ask: bundled libraries, then Node.js. */
export function collectLicenses(root: string, packages: readonly string[]): string {
  return packages.map((directory) => licenseOf(path.join(root, directory))).join('\n');
}

function licenseOf(directory: string): string {
  const manifest = JSON.parse(readFileSync(path.join(directory, 'package.json'), 'utf8')) as {
    readonly name: string;
    readonly version: string;
    readonly license?: string;
  };
  const texts = readdirSync(directory)
    .filter((name) => /^(licen[cs]e|notice|copying)/i.test(name))
    .sort()
    .map((name) => readFileSync(path.join(directory, name), 'utf8').trim());
  const title = `${manifest.name} ${manifest.version} (${manifest.license ?? 'license in the text below'})`;
  return `${'='.repeat(78)}\n${title}\n${'='.repeat(78)}\n\n${texts.join('\n\n')}\n`;
}
