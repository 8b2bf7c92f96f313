import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { writeBundledStack } from '../../../src/artifacts/bundle-manifests.ts';
import { commitEntries, openStore } from '../../../src/artifacts/store.ts';
import { unpackStacks } from '../../../src/node/unpack-stacks.ts';
import { temporaryFolder } from '../artifacts/bundle-fixture.ts';

test('a stack of a bundle becomes the user’s once, and a newer bundle replaces its files', async () => {
  const { directory, bring, unpack, read } = await prepare();
  await bring({ 'a.yaml': 'one', 'b.yaml': 'two' });
  await unpack();
  expect(await read()).toEqual({ 'a.yaml': 'one', 'b.yaml': 'two' });

  await writeFile(path.join(directory, 'a.yaml'), 'changed by hand');
  await unpack();
  expect((await read())['a.yaml']).toBe('changed by hand');
  await rm(directory, { recursive: true });
  await unpack();
  await expect(readdir(directory)).rejects.toThrow('ENOENT');

  await bring({ 'a.yaml': 'three' });
  await writeFile(path.join(directory, '../other.txt'), '');
  await unpack();
  expect(await read()).toEqual({ 'a.yaml': 'three' });
});

test('a file that a newer bundle does not have goes, one that somebody added stays', async () => {
  const { directory, bring, unpack, read } = await prepare();
  await bring({ 'a.yaml': 'one', 'b.yaml': 'two' });
  await unpack();
  await writeFile(path.join(directory, 'mine.yaml'), 'mine');
  await bring({ 'b.yaml': 'two' });
  await unpack();
  expect(await read()).toEqual({ 'b.yaml': 'two', 'mine.yaml': 'mine' });
});

test('a stack of the user’s own with that name is an error, and stays as it is', async () => {
  const { directory, bring, unpack, read } = await prepare();
  await mkdir(directory, { recursive: true });
  await writeFile(path.join(directory, 'mine.yaml'), 'mine');
  await bring({ 'a.yaml': 'one' });
  await expect(unpack()).rejects.toThrow(`${directory} is there and did not come with a bundle`);
  expect(await read()).toEqual({ 'mine.yaml': 'mine' });
});

test('after a kill in the middle the next start completes it', async () => {
  const { directory, record, bring, unpack, read } = await prepare();
  await bring({ 'a.yaml': 'one', 'b.yaml': 'two' });
  await mkdir(directory, { recursive: true });
  await writeFile(record, JSON.stringify({ shop: { digest: '', files: ['a.yaml', 'b.yaml'] } }));
  await writeFile(path.join(directory, 'a.yaml'), 'one');
  await unpack();
  expect(await read()).toEqual({ 'a.yaml': 'one', 'b.yaml': 'two' });
});

async function prepare() {
  const folder = await temporaryFolder();
  const store = await openStore(path.join(folder, 'store'));
  const manifestsDir = path.join(folder, 'manifests');
  await mkdir(manifestsDir);
  const record = path.join(folder, 'record.json');
  const directory = path.join(manifestsDir, 'shop');
  return {
    directory,
    record,
    bring: async (files: Readonly<Record<string, string>>) => {
      const list = Object.entries(files).map(([name, text]) => ({
        ...{ name, content: Buffer.from(text) },
      }));
      const entry = await writeBundledStack(store.directory, { name: 'shop', files: list });
      await commitEntries(store, [entry]);
    },
    unpack: () => unpackStacks({ store, manifestsDir, recordFile: record, onEvent: () => {} }),
    read: async (): Promise<Record<string, string>> => {
      const names = await readdir(directory);
      const entries = names.map(async (name) => [
        name,
        await readFile(path.join(directory, name), 'utf8'),
      ]);
      return Object.fromEntries(await Promise.all(entries));
    },
  };
}
