import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { zstdDecompressSync } from 'node:zlib';
import { onTestFinished } from 'vitest';
import { blobPath } from '../../../src/artifacts/blobs.ts';
import { importBundle } from '../../../src/artifacts/bundle.ts';
import { readBundleHead } from '../../../src/artifacts/bundle-head.ts';
import { findImage, openStore } from '../../../src/artifacts/store.ts';
import { machineArch } from '../../../src/node/host-facts.ts';
import { pushImage, startDockerRegistry, type TestRegistry } from '../docker-registry.ts';
import { findProduct, testImage } from './product.ts';

/** A registry that gives the test image, as `repository`, to those only who know the credentials. */
export interface PrivateRegistry extends TestRegistry {
  readonly repository: string;
  /** `user:password` */
  readonly credentials: string;
}

/** With TLS, a CA that no machine knows, and Basic authentication; gone when the test ends. */
export async function startPrivateRegistry(address: string): Promise<PrivateRegistry> {
  const folder = await mkdtemp(path.join(tmpdir(), 'mini-k8s-registry-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const [credentials, repository] = ['edge:a secret', 'team/box'];
  const open = await startDockerRegistry({ folder });
  const image = { arch: machineArch(), layer: await readLayer(folder) };
  await pushImage(open.base, { repository, tag: '1' }, [image]);
  await open.close();
  const registry = await startDockerRegistry({ folder, credentials, usesTls: true, address });
  return { ...registry, repository, credentials };
}

async function readLayer(folder: string): Promise<Buffer> {
  const { signal } = new AbortController();
  const bundle = path.join(findProduct().testImages, 'busybox.tar');
  const what = 'read the test image';
  const head = await readBundleHead(bundle, { what, needsSignatures: false, signal });
  const store = await openStore(path.join(folder, 'store'));
  const trust = { trustBundle: head.indexSha256, onEvent: () => {}, signal };
  await importBundle({ path: bundle, store, ...trust });
  const found = await findImage(store, testImage, machineArch());
  const layer = await readFile(blobPath(store.directory, found?.blobs.at(-1)?.digest ?? ''));
  return zstdDecompressSync(layer);
}
