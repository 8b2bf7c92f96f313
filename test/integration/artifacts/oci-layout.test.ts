import { execFile } from 'node:child_process';
import { readdir, readFile, utimes, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { writeBundleArchive } from '../../../src/artifacts/layout-tar.ts';
import { createLayoutWriter } from '../../../src/artifacts/oci-layout.ts';
import { makeBundle, makeTar, temporaryFolder } from './bundle-fixture.ts';

const run = promisify(execFile);

test('the same input gives the same index, in whatever order and whenever it is written', async () => {
  const folder = await temporaryFolder();
  const first = await write(path.join(folder, 'first'), ['a', 'b']);
  const second = await write(path.join(folder, 'second'), ['b', 'a']);
  const third = await write(path.join(folder, 'third'), ['b', 'a'], 'other');
  expect(second).toBe(first);
  expect(third).not.toBe(first);
});

test('a layout has the files of the specification and nothing else', async () => {
  const folder = await temporaryFolder();
  const { directory, indexSha256 } = await makeBundle(folder, { image: true });
  expect((await readdir(directory)).sort()).toEqual(['blobs', 'index.json', 'oci-layout']);
  const { stdout } = await run('sha256sum', [path.join(directory, 'index.json')]);
  expect(stdout.split(' ')[0]).toBe(indexSha256);
  for (const name of await readdir(path.join(directory, 'blobs', 'sha256'))) {
    const file = path.join(directory, 'blobs', 'sha256', name);
    expect((await run('sha256sum', [file])).stdout.split(' ')[0]).toBe(name);
  }
  expect(JSON.parse(await readFile(path.join(directory, 'oci-layout'), 'utf8'))).toEqual({
    imageLayoutVersion: '1.0.0',
  });
});

test('an archive is the same every time, and GNU tar reads it back', async () => {
  const folder = await temporaryFolder();
  const { directory } = await makeBundle(folder, { image: true });
  const [one, two] = [path.join(folder, 'one.tar'), path.join(folder, 'two.tar')];
  await writeBundleArchive(directory, one);
  await utimes(path.join(directory, 'index.json'), 1, 1);
  await writeBundleArchive(directory, two);
  expect((await readFile(one)).equals(await readFile(two))).toBe(true);

  const { stdout } = await run('tar', ['-tf', one]);
  expect(stdout.split('\n').slice(0, 2)).toEqual(['oci-layout', 'index.json']);
  await run('tar', ['-df', one, '-C', directory]).catch((error: { stdout: string }) => {
    // `tar -d` also compares times and modes; only contents matter here.
    expect(error.stdout).not.toMatch(/Contents differ|Size differs|No such file/);
  });
});

async function write(
  directory: string,
  order: readonly string[],
  content = 'content',
): Promise<string> {
  const writer = await createLayoutWriter(directory);
  for (const name of order) {
    const file = `${directory}-${name}`;
    await writeFile(file, `${content} of ${name}`);
    await writer.addComponent({
      name,
      version: '1.0.0',
      arch: 'arm64',
      builtFrom: 'source',
      executables: order.map((executable) => ({ name: executable, file })),
    });
    const layer = await writer.addBlob(makeTar([{ path: name, content: Buffer.from(name) }]));
    await writer.addImage({
      reference: `example.test/${name}:1`,
      arch: 'arm64',
      layers: [{ blob: layer }],
      config: name === 'a' ? { Cmd: ['/a'], Env: ['X=1'] } : { Env: ['X=1'], Cmd: ['/a'] },
    });
  }
  return (await writer.finish()).indexSha256;
}
