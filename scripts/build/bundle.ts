import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { type BuildOptions, build } from 'esbuild';
import { detachedEntries, detachedPlugin, requireDetached } from './detached.ts';
import { requireAscii } from './require-ascii.ts';

export interface Bundle {
  /** One CommonJS file: the single executable application of Node 24 takes no other kind. */
  readonly code: Uint8Array;
  /** What the program loads for a moment and lets go, by name. */
  readonly chunks: Readonly<Record<string, Uint8Array>>;
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
  const loader = await bundleLoader(root);
  const program = await bundleOne({
    absWorkingDir: root,
    entryPoints: [entry],
    plugins: [detachedPlugin(root)],
    // import() becomes a lazy require() inside the one file: an executable has no module loader for import().
    supported: { 'dynamic-import': false },
    define: { __VERSION__: JSON.stringify(version), 'import.meta.url': '__importMetaUrl' },
    banner: {
      js: `${loader}require=__loader.withDetached(require);var __importMetaUrl=require("node:url").pathToFileURL(__filename).href;`,
    },
  });
  const parts = await Promise.all(
    detachedEntries().map(async ({ name, code }) => {
      const stdin = { contents: code, resolveDir: root };
      return { name, ...(await bundleOne({ absWorkingDir: root, stdin })) };
    }),
  );
  const ofParts = (of: (part: (typeof parts)[number]) => readonly string[]) =>
    Object.fromEntries(parts.map((part) => [part.name, of(part)]));
  requireDetached(
    program.files,
    ofParts(({ files }) => files),
  );
  const packages = new Set([program, ...parts].flatMap(({ files }) => files).flatMap(packageOf));
  return {
    code: program.code,
    chunks: Object.fromEntries(parts.map(({ name, code }) => [name, code])),
    packages: [...packages].sort(),
  };
}

interface BundledFile {
  readonly code: Uint8Array;
  /** Below the root. */
  readonly files: readonly string[];
}

async function bundleOne(options: BuildOptions): Promise<BundledFile> {
  const result = await build({
    outfile: 'mini-k8s.cjs',
    bundle: true,
    platform: 'node',
    target: 'node24',
    format: 'cjs',
    minify: true,
    legalComments: 'none',
    logLevel: 'warning',
    ...options,
    write: false,
    metafile: true,
  });
  const [output] = result.outputFiles;
  if (output === undefined) throw new Error('esbuild wrote no bundle');
  requireAscii(output.text);
  const inputs = Object.values(result.metafile.outputs).flatMap((one) =>
    Object.entries(one.inputs),
  );
  const files = inputs.filter(([, { bytesInOutput }]) => bytesInOutput > 0).map(([file]) => file);
  return { code: output.contents, files };
}

/** What the program's `require` is made with, as one statement. */
async function bundleLoader(root: string): Promise<string> {
  const { code } = await bundleOne({
    absWorkingDir: root,
    entryPoints: ['scripts/build/detached-loader.ts'],
    format: 'iife',
    globalName: '__loader',
  });
  return Buffer.from(code).toString().trimEnd();
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
