import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { blobPath } from '../../../src/artifacts/blobs.ts';
import { importBundle } from '../../../src/artifacts/bundle.ts';
import { ensureImages } from '../../../src/artifacts/images.ts';
import { createLayoutWriter } from '../../../src/artifacts/oci-layout.ts';
import { riderImages } from '../../../src/artifacts/riders.ts';
import { type ArtifactStore, findImage } from '../../../src/artifacts/store.ts';
import type { Architecture, ArtifactEvent, ImageArtifact } from '../../../src/artifacts/types.ts';
import { readTextIfExists } from '../../../src/base/files.ts';
import { waitFor } from '../../../src/base/time.ts';
import { emptyStore, makeTar, neverAborted, temporaryFolder } from './bundle-fixture.ts';
import { listCriImages, type RunningContainerd, startContainerd } from './containerd-fixture.ts';

const run = promisify(execFile);
const arch: Architecture = process.arch === 'arm64' ? 'arm64' : 'amd64';
const one: ImageArtifact = { kind: 'image', reference: 'example.test/one:1', arch };
const two: ImageArtifact = { kind: 'image', reference: 'example.test/deep/two:v2', arch };
const absent: ImageArtifact = { kind: 'image', reference: 'example.test/absent:1', arch };

let containerd: RunningContainerd | undefined;
let folder = '';
let store: ArtifactStore;

beforeEach(async () => {
  folder = await temporaryFolder();
  store = await emptyStore(folder);
  await addImages(store, 'first content');
  containerd = await startContainerd(folder);
});

afterEach(async () => {
  await containerd?.stop();
  containerd = undefined;
});

test('images that came with a bundle beside those of mini-k8s are imported too', async () => {
  const riders = await riderImages(store, arch);
  expect((await ensure(riders)).imported.toSorted()).toEqual([two.reference, one.reference]);
  expect(await ensure(riders)).toEqual({ events: [], imported: [] });
});

test('images are imported once, in one call, pinned for kubelet, without a second copy of their layers', async () => {
  const { events, imported } = await ensure([one, two, absent]);
  expect(imported).toEqual([one.reference, two.reference]);
  expect(events).toMatchObject([{ type: 'images-imported', references: imported }]);
  const seen = await waitFor(
    async () => {
      const images = await listCriImages(socket());
      return images.length === 2 && images.every(({ pinned }) => pinned) ? images : undefined;
    },
    { subject: 'the CRI plugin to report two pinned images', timeoutMs: 60_000 },
  );
  expect(seen.flatMap(({ tags }) => tags).sort()).toEqual([two.reference, one.reference]);
  const layer = (await findImage(store, one.reference, arch))?.blobs.at(-1)?.digest ?? 'none';
  await waitFor(async () => !(await ctr('content', 'ls', '-q')).includes(layer), {
    subject: 'containerd to drop the unpacked layer',
    timeoutMs: 60_000,
  });

  expect(await ensure([one, two, absent])).toEqual({ events: [], imported: [] });

  await containerd?.stop();
  containerd = await startContainerd(folder);
  expect(await ensure([one, two])).toEqual({ events: [], imported: [] });
  const pinnedAgain = async () => (await listCriImages(socket())).filter(({ pinned }) => pinned);
  await waitFor(async () => (await pinnedAgain()).length === 2, {
    ...{ subject: 'both to be pinned after a restart', timeoutMs: 60_000 },
  });
});

test('an image that is not wanted any more stays for the pods that have it, and kubelet may remove it', async () => {
  await ensure([one, two]);
  const pinned = async () => {
    const images = await listCriImages(socket());
    return images.filter((image) => image.pinned).flatMap(({ tags }) => tags);
  };
  const bothPinned = async () => (await pinned()).length === 2;
  await waitFor(bothPinned, { subject: 'both to be pinned', timeoutMs: 60_000 });
  expect(await ensure([one])).toEqual({ events: [], imported: [] });
  await waitFor(async () => (await pinned()).join() === one.reference, {
    subject: `only ${one.reference} to be pinned`,
    timeoutMs: 60_000,
  });
  expect(await ctr('images', 'ls', '-q')).toContain(two.reference);
  // Wanted again, it is pinned again.
  expect((await ensure([one, two])).imported).toEqual([two.reference]);
  await waitFor(bothPinned, { subject: 'both to be pinned again', timeoutMs: 60_000 });
});

test('only the image that containerd lost is imported again', async () => {
  await ensure([one, two]);
  await ctr('images', 'rm', '--sync', two.reference);
  expect((await ensure([one, two])).imported).toEqual([two.reference]);
  expect(await ctr('images', 'ls', '-q')).toContain(two.reference);
});

test('a new content under the same name is imported in place of the old', async () => {
  await ensure([one]);
  await addImages(store, 'second content');
  expect((await ensure([one])).imported).toEqual([one.reference]);
  const entry = (await findImage(store, one.reference, arch))?.entry;
  expect(await ctr('images', 'ls')).toMatch(new RegExp(`${one.reference} .*${entry?.digest}`));
});

test('a damaged state file costs one more import', async () => {
  await ensure([one]);
  await writeFile(stateFile(), '{"images":');
  expect((await ensure([one])).imported).toEqual([one.reference]);
  expect((await ensure([one])).imported).toEqual([]);
});

test('a damaged layer is refused by containerd, and nothing counts as imported', async () => {
  const layer = (await findImage(store, one.reference, arch))?.blobs.at(-1)?.digest ?? 'none';
  const file = blobPath(store.directory, layer);
  await writeFile(file, (await readFile(file)).fill(7, 100, 120));
  await expect(ensure([one])).rejects.toMatchObject({
    name: 'UserError',
    message: expect.stringMatching(
      /^Cannot import example\.test\/one:1: .*ctr failed with exit code 1/,
    ),
  });
  await expect(readFile(stateFile())).rejects.toThrow('ENOENT');
});

test('an abort ends a ctr that hangs', async () => {
  if (containerd === undefined) throw new Error('containerd is not running');
  const pidFile = path.join(folder, 'ctr.pid');
  const hanging = path.join(folder, 'hanging-ctr');
  await writeFile(hanging, `#!/bin/sh\necho $$ > ${pidFile}\nexec sleep 600\n`, { mode: 0o755 });
  const stopping = new AbortController();
  const attempt = ensureImages([one], {
    store,
    containerd: { ...containerd, ctr: hanging },
    stateFile: stateFile(),
    onEvent: () => {},
    signal: stopping.signal,
  });
  const pid = await waitFor(async () => Number(await readTextIfExists(pidFile)) || undefined, {
    subject: 'the hanging ctr to start',
    timeoutMs: 60_000,
  });
  stopping.abort(new Error('stopping'));
  await expect(attempt).rejects.toThrow('stopping');
  expect(() => process.kill(pid, 0)).toThrow('ESRCH');
});

test('a ctr that is not there is named', async () => {
  if (containerd === undefined) throw new Error('containerd is not running');
  const ctrFile = path.join(folder, 'no-ctr');
  await expect(
    ensureImages([one], {
      store,
      containerd: { ...containerd, ctr: ctrFile },
      stateFile: stateFile(),
      onEvent: () => {},
      signal: neverAborted,
    }),
  ).rejects.toThrow(
    `Cannot list the images of containerd: ${ctrFile} could not be started (ENOENT)`,
  );
});

async function ensure(
  images: readonly ImageArtifact[],
): Promise<{ readonly events: readonly ArtifactEvent[]; readonly imported: readonly string[] }> {
  if (containerd === undefined) throw new Error('containerd is not running');
  const events: ArtifactEvent[] = [];
  const imported = await ensureImages(images, {
    store,
    containerd,
    stateFile: stateFile(),
    onEvent: (event) => events.push(event),
    signal: neverAborted,
  });
  return { events, imported };
}

async function addImages(target: ArtifactStore, content: string): Promise<void> {
  const directory = path.join(folder, `bundle ${content}`);
  const writer = await createLayoutWriter(directory);
  for (const { reference } of [one, two]) {
    const text = Buffer.from(`${content} of ${reference}\n`);
    const layer = await writer.addBlob(makeTar([{ path: 'hello', content: text }]));
    const config = { Cmd: ['/hello'] };
    await writer.addImage({ reference, arch, layers: [{ blob: layer }], config });
  }
  const { indexSha256 } = await writer.finish();
  await importBundle({
    path: directory,
    store: target,
    trustBundle: indexSha256,
    onEvent: () => {},
    signal: neverAborted,
  });
}

async function ctr(...args: readonly string[]): Promise<string> {
  const { stdout } = await run(containerd?.ctr ?? 'ctr', ['-a', socket(), '-n', 'k8s.io', ...args]);
  return stdout;
}

function socket(): string {
  return containerd?.socket ?? 'none';
}

function stateFile(): string {
  return path.join(folder, 'state', 'images.json');
}
