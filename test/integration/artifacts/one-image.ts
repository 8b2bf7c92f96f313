import { randomBytes } from 'node:crypto';
import path from 'node:path';
import { importBundle } from '../../../src/artifacts/bundle.ts';
import { createLayoutWriter } from '../../../src/artifacts/oci-layout.ts';
import type { ArtifactStore } from '../../../src/artifacts/store.ts';
import type { Architecture } from '../../../src/artifacts/types.ts';
import { makeTar, neverAborted } from './bundle-fixture.ts';

export interface OneImage {
  readonly reference: string;
  readonly arch: Architecture;
  /** Of its one file. */
  readonly content?: Uint8Array;
}

/** Makes an image of one layer with one file, below the folder, and puts it into the store. */
export async function addImage(
  store: ArtifactStore,
  folder: string,
  { reference, arch, content = randomBytes(1000) }: OneImage,
): Promise<void> {
  const directory = path.join(folder, randomBytes(4).toString('hex'));
  const writer = await createLayoutWriter(directory);
  const layer = await writer.addBlob(makeTar([{ path: 'hello', content }]));
  const config = { Cmd: ['/hello'] };
  await writer.addImage({ reference, arch, layers: [{ blob: layer }], config });
  await takeBundle(store, directory, (await writer.finish()).indexSha256);
}

/** Puts all of a bundle into the store. */
export async function takeBundle(
  store: ArtifactStore,
  directory: string,
  trustBundle: string,
): Promise<void> {
  const quiet = { onEvent: () => {}, signal: neverAborted };
  await importBundle({ path: directory, store, trustBundle, linkBlobs: true, ...quiet });
}
