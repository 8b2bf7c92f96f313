import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { importBundle } from '../../../src/artifacts/bundle.ts';
import { openStore } from '../../../src/artifacts/store.ts';
import type { BindMount } from '../node/types.ts';
import { findProduct, testImage } from './product.ts';

const run = promisify(execFile);

/** A bundle as a person makes one: with an image and manifests that ride along, in one signed file. */
export interface RidingBundle {
  /** For the nodes that shall have it. */
  readonly bind: BindMount;
  /** `--bundle` and `--require-signature`. */
  readonly args: readonly string[];
  remove(): Promise<void>;
}

/** @param objects Ride along as the stack `riding`. */
export async function makeRidingBundle(objects: readonly unknown[]): Promise<RidingBundle> {
  const product = findProduct();
  const folder = await mkdtemp(path.join(tmpdir(), 'mini-k8s-riding-'));
  const remove = () => rm(folder, { recursive: true, force: true });
  const mini = async (...args: readonly string[]) =>
    (await run(product.executable, [...args], { timeout: 120_000 })).stdout;
  try {
    // The machine where it is made has the image in its store.
    const testImages = path.join(product.testImages, 'busybox.tar');
    const { indexSha256 } = JSON.parse(await mini('bundle', 'inspect', testImages, '-o', 'json'));
    const dataDir = path.join(folder, 'data');
    await mkdir(dataDir);
    await importBundle({
      ...{ path: testImages, store: await openStore(path.join(dataDir, 'store')) },
      ...{ trustBundle: indexSha256, onEvent: () => {}, signal: new AbortController().signal },
    });
    const manifests = path.join(folder, 'riding');
    await mkdir(manifests);
    const text = objects.map((object) => JSON.stringify(object)).join('\n---\n');
    await writeFile(path.join(manifests, 'all.yaml'), text);
    const source = path.join(folder, 'bundle.tar');
    const key = path.join(folder, 'key');
    await mini(
      ...['bundle', 'create', '--out', source, '--data-dir', dataDir],
      ...['--bundle', product.bundle, '--trust-bundle', product.bundleSha256],
      ...['--image', testImage, '--manifests', manifests],
    );
    const publicKey = (await mini('bundle', 'key', '--out', key)).trim();
    await mini('bundle', 'sign', source, '--key', key);
    const target = '/opt/mini-k8s/riding.tar';
    const args = ['--bundle', target, '--require-signature', publicKey];
    return { bind: { source, target }, args, remove };
  } catch (error) {
    await remove();
    throw error;
  }
}
