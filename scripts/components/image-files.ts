import { existsSync } from 'node:fs';
import { readdir, readlink, stat } from 'node:fs/promises';
import path from 'node:path';
import type { Architecture } from '../../src/artifacts/types.ts';
import { UserError } from '../../src/base/errors.ts';
import type { DebianRoot } from './debian.ts';
import type { GoComponentName } from './go-recipes.ts';
import type { ImagePart, ImageRecipe } from './image-recipes.ts';
import { lastLines, runCommand } from './run-command.ts';
import { findExecutable, findSharedLibraries, type PlacedFile } from './shared-libraries.ts';
import type { TarEntry } from './tar-layer.ts';

export interface ImageFilesContext {
  readonly arch: Architecture;
  /** scripts/components. */
  readonly sourceDirectory: string;
  /** For compiled programs; removed by the caller. */
  readonly scratchDirectory: string;
  /** Absolute path of the executable of a Go component that is built already. */
  readonly goExecutable: (component: GoComponentName) => string;
  /** Asked for only by recipes with Debian parts. */
  readonly debianRoot: () => Promise<DebianRoot>;
  readonly signal: AbortSignal;
}

const caCertificates = 'etc/ssl/certs/ca-certificates.crt';

/** Top-level links of an image with Debian's files, all of which are under /usr in it. */
const mergedDirectories = ['bin', 'lib', 'lib64', 'sbin'] as const;

/** C compilers by target; for this machine's own architecture it is plain gcc. */
export const crossCompilers: Readonly<Record<Architecture, string>> = {
  amd64: 'x86_64-linux-gnu-gcc',
  arm64: 'aarch64-linux-gnu-gcc',
};

/** Everything that an image's layer holds. Compiles what is to be compiled. */
export async function collectImageFiles(
  recipe: ImageRecipe,
  context: ImageFilesContext,
): Promise<readonly TarEntry[]> {
  const entries: TarEntry[] = [];
  for (const part of recipe.parts) entries.push(...(await collectPart(part, context)));
  if (!recipe.parts.some(isDebianPart)) return entries;
  const isUsed = (name: string) => entries.some((entry) => entry.path.startsWith(`usr/${name}/`));
  const links = mergedDirectories
    .filter(isUsed)
    .map((name): TarEntry => ({ type: 'symlink', path: name, target: `usr/${name}` }));
  return [...entries, ...links];
}

/** Debian packages whose files a recipe takes, sorted. */
export function debianPackagesOf(recipe: ImageRecipe): readonly string[] {
  const names = recipe.parts.filter(isDebianPart).map((part) => part.package);
  return [...new Set(names)].sort();
}

function isDebianPart(
  part: ImagePart,
): part is Extract<ImagePart, { readonly kind: `debian-${string}` }> {
  return part.kind === 'debian-executable' || part.kind === 'debian-plugins';
}

/** What one part of a recipe puts into a layer. */
export async function collectPart(
  part: ImagePart,
  context: ImageFilesContext,
): Promise<readonly TarEntry[]> {
  switch (part.kind) {
    case 'go':
      return [await fileEntry(context.goExecutable(part.component), part.path.slice(1))];
    case 'c':
      return [await fileEntry(await compile(part.source, context), part.path.slice(1))];
    case 'debian-executable':
      return await collectExecutable(part.name, part.package, context);
    case 'debian-plugins':
      return await collectPlugins(part.directory, context);
    case 'ca-certificates':
      return [await fileEntry(`/${caCertificates}`, caCertificates)];
    case 'directory':
      return [{ type: 'directory', path: part.path.slice(1), mode: part.mode }];
    case 'text': {
      const size = Buffer.byteLength(part.content);
      return [{ type: 'file', path: part.path.slice(1), mode: 0o644, size, content: part.content }];
    }
    case 'links':
      return part.paths.map((link) => ({
        type: 'symlink',
        path: link.slice(1),
        target: part.target,
      }));
  }
}

async function collectExecutable(
  name: string,
  packageName: string,
  { debianRoot, signal }: ImageFilesContext,
): Promise<readonly TarEntry[]> {
  const root = await debianRoot();
  const executable = await findExecutable(root, name);
  const license = `usr/share/doc/${packageName}/copyright`;
  const licenseFile = path.join(root.directory, license);
  return await placeAll([
    executable,
    ...(existsSync(licenseFile) ? [{ source: licenseFile, imagePath: license }] : []),
    ...(await findSharedLibraries(root, [executable.source], signal)),
  ]);
}

async function collectPlugins(
  name: string,
  { debianRoot, signal }: ImageFilesContext,
): Promise<readonly TarEntry[]> {
  const root = await debianRoot();
  const imageDirectory = `usr/lib/${root.triplet}/${name}`;
  const directory = path.join(root.directory, imageDirectory);
  const links: TarEntry[] = [];
  const files: PlacedFile[] = [];
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    const source = path.join(directory, entry.name);
    const imagePath = `${imageDirectory}/${entry.name}`;
    if (entry.isSymbolicLink()) {
      links.push({ type: 'symlink', path: imagePath, target: await readlink(source) });
    } else files.push({ source, imagePath });
  }
  const sources = files.map((file) => file.source);
  const libraries = await findSharedLibraries(root, sources, signal);
  return [...links, ...(await placeAll([...files, ...libraries]))];
}

async function placeAll(files: readonly PlacedFile[]): Promise<readonly TarEntry[]> {
  return await Promise.all(files.map((file) => fileEntry(file.source, file.imagePath)));
}

/** A file of this machine as a member of a layer: 0755 if its owner may run it, else 0644. */
export async function fileEntry(source: string, imagePath: string): Promise<TarEntry> {
  const { mode, size } = await stat(source);
  // Group and other bits depend on the builder's umask otherwise.
  const imageMode = (mode & 0o100) === 0 ? 0o644 : 0o755;
  return { type: 'file', path: imagePath, mode: imageMode, size, content: { file: source } };
}

/** Without a C library: a static one would make 15 kB into 700 kB. */
async function compile(source: string, context: ImageFilesContext): Promise<string> {
  const output = path.join(context.scratchDirectory, path.basename(source, '.c'));
  const args = [
    '-Os',
    '-static',
    '-nostdlib',
    '-ffreestanding',
    '-fno-stack-protector',
    '-fno-asynchronous-unwind-tables',
    '-Wall',
    '-Wextra',
    '-Werror',
    '-Wl,--build-id=none',
    '-s',
    '-o',
    output,
    path.join(context.sourceDirectory, source),
  ];
  const compiler = compilerFor(context.arch);
  const { exitCode, stderr, errorCode } = await runCommand(compiler, args, {
    signal: context.signal,
  });
  if (exitCode === 0) return output;
  throw new UserError({
    what: `compile scripts/components/${source}`,
    why: errorCode === 'ENOENT' ? `${compiler} is missing` : `\n${lastLines(stderr, 10)}`,
    fix: `install ${compiler}`,
  });
}

/** The C compiler for an architecture on this machine. */
export function compilerFor(arch: Architecture): string {
  return arch === hostArchitecture() ? 'gcc' : crossCompilers[arch];
}

/** This machine's architecture in the words that a person sees. */
export function hostArchitecture(): Architecture {
  return process.arch === 'arm64' ? 'arm64' : 'amd64';
}
