import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { blobPath, hashBytes } from '../../../src/artifacts/blobs.ts';
import { importBundle } from '../../../src/artifacts/bundle.ts';
import { createControllerSource } from '../../../src/artifacts/controller-source.ts';
import type { ControllerSourceOptions } from '../../../src/artifacts/controller-source-session.ts';
import { type ArtifactStore, findComponent } from '../../../src/artifacts/store.ts';
import type { ArtifactEvent, ArtifactSource } from '../../../src/artifacts/types.ts';
import { dialTcp } from '../../../src/base/dial.ts';
import { systemClock } from '../../../src/base/time.ts';
import { freePorts } from '../../support/free-ports.ts';
import {
  type BundleFixtureOptions,
  emptyStore,
  makeBundle,
  neverAborted,
  temporaryFolder,
} from './bundle-fixture.ts';
import { createRegistryAuthority, type RegistryAuthority, token } from './registry-fixture.ts';

/** A controller's store, filled, and a worker's, empty. */
export interface TwoStores {
  readonly folder: string;
  readonly authority: RegistryAuthority;
  readonly caFile: string;
  /** The controller's. */
  readonly from: ArtifactStore;
  /** The worker's. */
  readonly to: ArtifactStore;
  readonly executables: Readonly<Record<string, Uint8Array>>;
}

export async function makeStores(options: BundleFixtureOptions = {}): Promise<TwoStores> {
  const folder = await temporaryFolder();
  const authority = createRegistryAuthority();
  const caFile = path.join(folder, 'ca.crt');
  await writeFile(caFile, authority.ca);
  const from = await emptyStore(path.join(folder, 'controller'));
  const { executables } = await addBundle(from, folder, options);
  const to = await emptyStore(path.join(folder, 'worker'));
  return { folder, authority, caFile, from, to, executables };
}

/** Imports the bundle fixture into a store. */
export async function addBundle(
  store: ArtifactStore,
  folder: string,
  options: BundleFixtureOptions,
): Promise<{ readonly executables: Readonly<Record<string, Uint8Array>> }> {
  const bundle = await makeBundle(folder, options);
  await importBundle({
    path: bundle.directory,
    store,
    trustBundle: bundle.indexSha256,
    linkBlobs: true,
    onEvent: () => {},
    signal: neverAborted,
  });
  return bundle;
}

/** A source with pauses of milliseconds, and all that it said. */
export function sourceFrom(
  stores: TwoStores,
  controllers: readonly string[],
  options: Partial<ControllerSourceOptions> = {},
): { readonly source: ArtifactSource; readonly events: ArtifactEvent[] } {
  const events: ArtifactEvent[] = [];
  const source = createControllerSource({
    controllers,
    ca: stores.authority.ca,
    credentials: { kind: 'token', token },
    dial: (address, signal) => dialTcp({ ...address, timeoutMs: 30_000 }, signal),
    store: stores.to,
    onEvent: (event) => events.push(event),
    clock: systemClock,
    random: () => 0.5,
    ...options,
    timing: { firstPauseMs: 5, rounds: 3, stallMs: 30_000, ...options.timing },
  });
  return { source, events };
}

/** For `ensureArtifacts` on the worker with one source. */
export function ensureOptions(stores: TwoStores, source: ArtifactSource) {
  return { store: stores.to, sources: [source], onEvent: () => {}, signal: neverAborted };
}

/** The same controller, another worker. */
export async function makeStoresLike(stores: TwoStores): Promise<TwoStores> {
  const { to } = await makeStores();
  return { ...stores, to };
}

/** Where a registry could be, and nobody is. */
export async function stopped(): Promise<string> {
  const [port] = await freePorts(1);
  return `127.0.0.1:${port}`;
}

export function digestOf(stores: TwoStores, name: string): string {
  return hashBytes(stores.executables[name] ?? Buffer.alloc(0)).digest;
}

/** The blob of an executable of the fixture's component. */
export async function executableFile(store: ArtifactStore, name: string): Promise<string> {
  const wanted = { name: 'tool', version: '1.0.0', arch: 'amd64' } as const;
  const component = await findComponent(store, wanted);
  return blobPath(store.directory, component?.executables.get(name)?.digest ?? 'sha256:none');
}

/** An executable as the worker's store has it. */
export async function executable(stores: TwoStores, name: string): Promise<Buffer> {
  return await readFile(await executableFile(stores.to, name));
}
