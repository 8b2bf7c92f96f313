import { createWriteStream } from 'node:fs';
import { mkdir, readdir, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { hashFile } from '../../src/artifacts/blobs.ts';
import type { BuildContext } from './build-context.ts';
import type { PlannedGo, PlannedImage } from './build-plan.ts';
import { createEntry, entryDirectory, hasEntry, readRecord } from './component-cache.ts';
import { buildGoExecutables } from './go-build.ts';
import { collectImageFiles, debianPackagesOf } from './image-files.ts';
import { formatBytes } from './reporter.ts';
import { completeEntries, renderTar, type TarEntry, writeLayer } from './tar-layer.ts';
import { type BuiltComponent, type BuiltImage, writeLayout } from './write-bundle.ts';

interface GoRecord {
  readonly executables: readonly {
    readonly name: string;
    readonly digest: string;
    readonly size: number;
  }[];
}

interface ImageRecord {
  readonly layer: { readonly digest: string; readonly size: number };
  readonly diffId: string;
  readonly config: Readonly<Record<string, unknown>>;
}

const layerName = 'layer.tar.zst';

/** Builds a Go component, or takes it from the cache. */
export async function provideComponent(
  planned: PlannedGo,
  context: BuildContext,
): Promise<BuiltComponent> {
  const { key, recipe, version } = planned;
  const title = `${recipe.name} ${version}`;
  if (hasEntry(context.cache, key)) context.reporter.cached(title);
  else {
    const tools = await prepareGoTools(planned, context);
    await context.reporter.step(title, async () => {
      await createEntry(context.cache, key, (directory) =>
        fillComponent(planned, { ...tools, directory }, context),
      );
      const { executables } = await readRecord<GoRecord>(context.cache, key);
      const bytes = executables.reduce((sum, { size }) => sum + size, 0);
      return `${count(executables.length, 'executable')}, ${formatBytes(bytes)}`;
    });
  }
  const record = await readRecord<GoRecord>(context.cache, key);
  const bin = path.join(entryDirectory(context.cache, key), 'bin');
  const executables = record.executables.map((executable) => ({
    ...executable,
    file: path.join(bin, executable.name),
  }));
  return { name: recipe.name, version, hash: key.hash, executables };
}

/** Tools first, so that their installation is a line of its own and not part of the component's time. */
async function prepareGoTools({ recipe }: PlannedGo, context: BuildContext) {
  const go = await context.ensureGo();
  if (recipe.cgoPackages === undefined) return { go, sysroot: undefined };
  await context.ensureCompiler();
  const root = await context.ensureDebianRoot();
  return { go, sysroot: root.directory === '/' ? undefined : root };
}

async function fillComponent(
  planned: PlannedGo,
  tools: Awaited<ReturnType<typeof prepareGoTools>> & { readonly directory: string },
  context: BuildContext,
): Promise<GoRecord> {
  const { recipe, version } = planned;
  const bin = path.join(tools.directory, 'bin');
  await buildGoExecutables({
    recipe,
    version,
    arch: context.plan.arch,
    go: tools.go,
    sysroot: tools.sysroot,
    moduleDirectory: path.join(context.plan.sourceDirectory, recipe.name),
    outputDirectory: bin,
    jobs: context.jobs,
    signal: context.signal,
  });
  const executables = [];
  for (const { name } of recipe.executables) {
    executables.push({ name, ...(await hashFile(path.join(bin, name), context.signal)) });
  }
  return { executables };
}

/** Builds an image, or takes it from the cache. `components` must hold the Go components inside. */
export async function provideImage(
  planned: PlannedImage,
  components: readonly BuiltComponent[],
  context: BuildContext,
): Promise<BuiltImage> {
  const { key, reference } = planned;
  const title = `image ${reference}`;
  if (hasEntry(context.cache, key)) context.reporter.cached(title);
  else {
    await prepareImageTools(planned, context);
    await context.reporter.step(title, async () => {
      await createEntry(context.cache, key, (directory) =>
        fillImage(planned, { components, directory }, context),
      );
      const { layer } = await readRecord<ImageRecord>(context.cache, key);
      return `${formatBytes(layer.size)} compressed`;
    });
  }
  return await builtImage(planned, context);
}

async function builtImage(planned: PlannedImage, context: BuildContext): Promise<BuiltImage> {
  const { key, recipe, reference } = planned;
  const record = await readRecord<ImageRecord>(context.cache, key);
  const layerFile = path.join(entryDirectory(context.cache, key), layerName);
  return { ...record, name: recipe.name, reference, hash: key.hash, layerFile };
}

async function prepareImageTools({ recipe }: PlannedImage, context: BuildContext): Promise<void> {
  if (recipe.parts.some((part) => part.kind !== 'go')) await context.ensureCompiler();
  if (debianPackagesOf(recipe).length > 0) await context.ensureDebianRoot();
}

interface ImageTarget {
  readonly components: readonly BuiltComponent[];
  readonly directory: string;
}

async function fillImage(
  planned: PlannedImage,
  { components, directory }: ImageTarget,
  context: BuildContext,
): Promise<ImageRecord> {
  const { recipe, reference } = planned;
  const scratchDirectory = path.join(context.scratchDirectory, recipe.name);
  await mkdir(scratchDirectory, { recursive: true });
  const entries = await collectImageFiles(recipe, {
    arch: context.plan.arch,
    sourceDirectory: context.plan.sourceDirectory,
    scratchDirectory,
    goExecutable: (name) => goExecutable(components, name),
    debianRoot: context.ensureDebianRoot,
    signal: context.signal,
  });
  const layerFile = path.join(directory, layerName);
  const { blob, diffId } = await writeLayer(layerFile, entries, context.signal);
  const packages = debianPackagesOf(recipe);
  const config =
    packages.length === 0
      ? recipe.config
      : await withPackageLabel(recipe.config, packages, context);
  const record: ImageRecord = { layer: blob, diffId, config };
  if (recipe.testReference !== undefined) {
    const image = { ...record, name: recipe.name, reference, hash: planned.key.hash, layerFile };
    await writeImageArchive(image, path.join(directory, `${recipe.name}.tar`), context);
  }
  return record;
}

function goExecutable(components: readonly BuiltComponent[], name: string): string {
  const file = components
    .find((component) => component.name === name)
    ?.executables.find((executable) => executable.name === name)?.file;
  if (file === undefined) throw new Error(`${name} is not built`);
  return file;
}

/** Which versions of Debian's programs are inside, for whoever has to know when one of them has a hole. */
async function withPackageLabel(
  config: Readonly<Record<string, unknown>>,
  packages: readonly string[],
  context: BuildContext,
): Promise<Readonly<Record<string, unknown>>> {
  const root = await context.ensureDebianRoot();
  const inside = root.packages.filter((entry) => packages.includes(entry.split('=')[0] ?? ''));
  return { ...config, Labels: { 'mini-k8s.io/debian-packages': inside.join(' ') } };
}

/** One image as a tar that `ctr images import` takes. */
async function writeImageArchive(
  image: BuiltImage,
  file: string,
  context: BuildContext,
): Promise<void> {
  const layout = path.join(context.scratchDirectory, `${image.name}-layout`);
  await writeLayout({ arch: context.plan.arch, components: [], images: [image] }, layout);
  const entries: TarEntry[] = [];
  for (const entry of await readdir(layout, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const source = path.join(entry.parentPath, entry.name);
    const { size } = await stat(source);
    const inside = path.relative(layout, source);
    entries.push({ type: 'file', path: inside, mode: 0o644, size, content: { file: source } });
  }
  const content = renderTar(completeEntries(entries));
  await pipeline(Readable.from(content, { objectMode: false }), createWriteStream(file));
  await rm(layout, { recursive: true, force: true });
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`;
}
