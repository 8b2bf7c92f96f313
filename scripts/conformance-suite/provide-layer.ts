import { stat } from 'node:fs/promises';
import path from 'node:path';
import type { BlobReference } from '../../src/artifacts/blobs.ts';
import {
  createEntry,
  entryDirectory,
  hasEntry,
  readRecord,
} from '../components/component-cache.ts';
import { collectPart, fileEntry } from '../components/image-files.ts';
import { shortHash } from '../components/recipe-hash.ts';
import { formatBytes } from '../components/reporter.ts';
import { type TarEntry, writeLayer, zstdLevel } from '../components/tar-layer.ts';
import { type BuiltProgram, upstreamDirectory } from './build-program.ts';
import type { BuiltBusybox } from './busybox.ts';
import type { SuiteContext } from './suite-context.ts';
import type { SuiteLayer, SuitePart } from './suite-layers.ts';
import { suiteModules } from './suite-programs.ts';

/** What layers are made of, built already. */
export interface LayerInputs {
  readonly programs: readonly BuiltProgram[];
  readonly busybox: BuiltBusybox;
  /** The etcd of the components. */
  readonly etcd: { readonly file: string; readonly digest: string };
}

export interface BuiltLayer {
  /** zstd-compressed. */
  readonly file: string;
  readonly blob: BlobReference;
  readonly diffId: string;
}

interface LayerRecord {
  readonly blob: BlobReference;
  readonly diffId: string;
}

/** Makes a layer, or takes it from the cache. */
export async function provideLayer(
  layer: SuiteLayer,
  inputs: LayerInputs,
  context: SuiteContext,
): Promise<BuiltLayer> {
  const { arch, cache, reporter, signal } = context;
  const key = { name: `conformance-layer-${layer.name}`, hash: hashLayer(layer, inputs, arch) };
  const title = `layer ${layer.name}`;
  if (hasEntry(cache, key)) reporter.cached(title);
  else {
    if (layer.parts.some(isDebianPart)) await context.ensureDebianRoot();
    await reporter.step(title, async () => {
      await createEntry(cache, key, async (directory) => {
        const entries = await collectLayer(layer, inputs, context);
        return await writeLayer(path.join(directory, layerName), entries, signal);
      });
      const { blob } = await readRecord<LayerRecord>(cache, key);
      return `${formatBytes(blob.size)} compressed`;
    });
  }
  const record = await readRecord<LayerRecord>(cache, key);
  return { ...record, file: path.join(entryDirectory(cache, key), layerName) };
}

const layerName = 'layer.tar.zst';

/** Debian packages that layers take files of, sorted. */
export function packagesOf(layers: readonly SuiteLayer[]): readonly string[] {
  const parts = layers.flatMap((layer) => layer.parts).filter(isDebianPart);
  return [...new Set(parts.map((part) => part.package))].sort();
}

function isDebianPart(
  part: SuitePart,
): part is Extract<SuitePart, { readonly kind: `debian-${string}` }> {
  return part.kind === 'debian-executable' || part.kind === 'debian-plugins';
}

/** Changes whenever the layer could; Debian's packages count as they are when it is made. */
function hashLayer(layer: SuiteLayer, inputs: LayerInputs, arch: string): string {
  const contents = layer.parts.map((part) => {
    switch (part.kind) {
      case 'program':
        return findProgram(part.program, inputs).digest;
      case 'go':
        return inputs.etcd.digest;
      case 'busybox':
        return inputs.busybox.digest;
      case 'upstream':
        return suiteModules.e2e.version;
      default:
        return '';
    }
  });
  return shortHash({ layer, contents, arch, zstdLevel });
}

async function collectLayer(
  layer: SuiteLayer,
  inputs: LayerInputs,
  context: SuiteContext,
): Promise<readonly TarEntry[]> {
  const entries: TarEntry[] = [];
  for (const part of layer.parts) entries.push(...(await collectSuitePart(part, inputs, context)));
  return entries;
}

async function collectSuitePart(
  part: SuitePart,
  inputs: LayerInputs,
  context: SuiteContext,
): Promise<readonly TarEntry[]> {
  switch (part.kind) {
    case 'program': {
      const { file } = findProgram(part.program, inputs);
      const { size } = await stat(file);
      const mode = part.mode ?? 0o755;
      return [{ type: 'file', path: part.path.slice(1), mode, size, content: { file } }];
    }
    case 'upstream': {
      const file = path.join(await upstreamDirectory(context), part.file);
      return [await fileEntry(file, part.path.slice(1))];
    }
    case 'busybox':
      return await collectBusybox(inputs.busybox);
    default:
      return await collectPart(part, {
        ...{ arch: context.arch, signal: context.signal, debianRoot: context.ensureDebianRoot },
        ...{ sourceDirectory: '', scratchDirectory: context.scratchDirectory },
        goExecutable: () => inputs.etcd.file,
      });
  }
}

async function collectBusybox({ file, applets }: BuiltBusybox): Promise<readonly TarEntry[]> {
  const links = applets
    .filter((name) => name !== 'busybox')
    .map((name): TarEntry => ({ type: 'symlink', path: `usr/bin/${name}`, target: 'busybox' }));
  return [await fileEntry(file, 'usr/bin/busybox'), ...links];
}

function findProgram(name: BuiltProgram['name'], { programs }: LayerInputs): BuiltProgram {
  const found = programs.find((program) => program.name === name);
  if (found === undefined) throw new Error(`${name} is not built`);
  return found;
}
