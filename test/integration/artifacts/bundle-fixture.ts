import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Header } from 'tar';
import { onTestFinished } from 'vitest';
import type { Pins } from '../../../src/artifacts/bundle-trust.ts';
import { createLayoutWriter } from '../../../src/artifacts/oci-layout.ts';
import { type ArtifactStore, openStore } from '../../../src/artifacts/store.ts';
import type { Architecture, ExecutableArtifact } from '../../../src/artifacts/types.ts';

export const neverAborted = new AbortController().signal;

/** Pins under which nothing is upstream's. */
export const noPins: Pins = { executable: () => undefined, image: () => undefined };

/** A directory that is gone when the test ends, whatever its result. */
export async function temporaryFolder(parent = tmpdir()): Promise<string> {
  const folder = await mkdtemp(path.join(parent, 'mini-k8s-artifacts-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

export async function emptyStore(folder: string): Promise<ArtifactStore> {
  return await openStore(path.join(folder, 'store'));
}

export interface BundleFixtureOptions {
  readonly version?: string;
  readonly arch?: Architecture;
  readonly builtFrom?: 'source' | 'upstream';
  /** Content of the executables by name; default: two small ones. */
  readonly executables?: Readonly<Record<string, Uint8Array>>;
  /** With the image `example.test/hello:1`. */
  readonly image?: boolean;
}

export interface BundleFixture {
  readonly directory: string;
  readonly indexSha256: string;
  readonly executables: Readonly<Record<string, Uint8Array>>;
}

/** A bundle directory with the component `tool`, made by the writer that build-components uses. */
export async function makeBundle(
  folder: string,
  options: BundleFixtureOptions = {},
): Promise<BundleFixture> {
  const executables = options.executables ?? {
    alpha: Buffer.from(`#!/bin/sh\necho alpha ${options.version ?? '1.0.0'}\n`),
    beta: randomBytes(300_000),
  };
  const sources = path.join(folder, 'sources');
  await mkdir(sources, { recursive: true });
  const files: { readonly name: string; readonly file: string }[] = [];
  for (const [name, content] of Object.entries(executables)) {
    const file = path.join(sources, name);
    await writeFile(file, content);
    files.push({ name, file });
  }
  const directory = path.join(folder, `bundle-${randomBytes(4).toString('hex')}`);
  const writer = await createLayoutWriter(directory);
  await writer.addComponent({
    name: 'tool',
    version: options.version ?? '1.0.0',
    arch: options.arch ?? 'amd64',
    builtFrom: options.builtFrom ?? 'upstream',
    executables: files,
  });
  if (options.image === true) {
    const layer = await writer.addBlob(
      makeTar([{ path: 'hello', content: Buffer.from('hello\n') }]),
    );
    await writer.addImage({
      reference: 'example.test/hello:1',
      arch: options.arch ?? 'amd64',
      layers: [{ blob: layer }],
      config: { Cmd: ['/hello'] },
    });
  }
  return { directory, executables, ...(await writer.finish()) };
}

/** What a plan would want of the fixture's component. */
export function wantTool(
  directory: string,
  options: { readonly version?: string; readonly members?: readonly string[] } = {},
): ExecutableArtifact {
  return {
    kind: 'executable',
    name: 'tool',
    version: options.version ?? '1.0.0',
    arch: 'amd64',
    members: (options.members ?? ['alpha', 'beta']).map((name) => ({
      name,
      path: path.join(directory, name),
    })),
  };
}

export interface TarFixtureEntry {
  readonly path: string;
  readonly content?: Uint8Array;
  readonly type?: 'File' | 'SymbolicLink' | 'Link' | 'CharacterDevice' | 'FIFO' | 'Directory';
  readonly linkpath?: string;
}

/** A tar with exactly these entries, also such that no honest tool would write. */
export function makeTar(entries: readonly TarFixtureEntry[]): Buffer {
  const parts: Buffer[] = [];
  for (const { path: name, content = Buffer.alloc(0), type = 'File', linkpath } of entries) {
    const block = Buffer.alloc(512);
    new Header({
      path: name,
      type,
      size: content.length,
      mode: 0o644,
      mtime: new Date(0),
      ...(linkpath === undefined ? {} : { linkpath }),
    }).encode(block);
    parts.push(block, Buffer.from(content), Buffer.alloc((512 - (content.length % 512)) % 512));
  }
  return Buffer.concat([...parts, Buffer.alloc(1024)]);
}

/** All files of a bundle directory as tar entries, index.json last: the order that is hardest to read. */
export async function bundleEntries(directory: string): Promise<TarFixtureEntry[]> {
  const blobs = path.join(directory, 'blobs', 'sha256');
  const names = [
    ...(await readdir(blobs)).sort().map((name) => `blobs/sha256/${name}`),
    'oci-layout',
    'index.json',
  ];
  return await Promise.all(
    names.map(async (name) => ({
      path: name,
      content: await readFile(path.join(directory, name)),
    })),
  );
}

/** What is visible and what lies about in a store: for "nothing stays behind". */
export async function storeState(
  store: ArtifactStore,
): Promise<{ readonly entries: number; readonly blobs: number; readonly temporary: number }> {
  const index = JSON.parse(await readFile(path.join(store.directory, 'index.json'), 'utf8')) as {
    manifests: unknown[];
  };
  const count = async (name: string) =>
    (await readdir(path.join(store.directory, name)).catch(() => [])).length;
  return {
    entries: index.manifests.length,
    blobs: await count('blobs/sha256'),
    temporary: await count('tmp'),
  };
}
