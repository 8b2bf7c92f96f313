import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  ensureFile,
  fillSecrets,
  readTextIfExists,
  writeFileAtomic,
} from '../../../src/base/files.ts';

let directory: string;

beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'mini-k8s-files-'));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const modeOf = async (file: string) => (await stat(file)).mode & 0o777;
const own = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };

describe('writeFileAtomic', () => {
  it('makes directories and leaves nothing but the file, with its mode whatever the umask', async () => {
    const file = path.join(directory, 'a/b/c.key');
    await writeFileAtomic(file, 'one', { mode: 0o666 });
    expect([await readFile(file, 'utf8'), await modeOf(file)]).toEqual(['one', 0o666]);
    await writeFileAtomic(file, 'two', { mode: 0o600 });
    expect([await readFile(file, 'utf8'), await modeOf(file)]).toEqual(['two', 0o600]);
    expect(await readdir(path.dirname(file))).toEqual(['c.key']);
  });

  it('leaves the old content and no temporary file when it fails', async () => {
    const target = path.join(directory, 'is-a-directory');
    await writeFileAtomic(path.join(target, 'inside'), 'x');
    await expect(writeFileAtomic(target, 'y')).rejects.toMatchObject({ code: 'EISDIR' });
    expect(await readdir(directory)).toEqual(['is-a-directory']);
  });

  it('never shows a reader a part of a file', async () => {
    const file = path.join(directory, 'big');
    const contents = ['a', 'b'].map((letter) => letter.repeat(1_000_000));
    await writeFileAtomic(file, contents[0] ?? '');
    let isWriting = true;
    const writer = (async () => {
      for (let round = 0; round < 20; round += 1) {
        await writeFileAtomic(file, contents[round % 2] ?? '');
      }
      isWriting = false;
    })();
    let reads = 0;
    while (isWriting) {
      expect(contents.includes(await readFile(file, 'utf8'))).toBe(true);
      reads += 1;
    }
    await writer;
    expect(reads).toBeGreaterThan(0);
  });
});

describe('ensureFile', () => {
  it('tells what it did, writes nothing twice, and puts the mode right', async () => {
    const spec = { path: path.join(directory, 'f'), content: 'x', mode: 0o600, ...own };
    expect(await ensureFile(spec)).toBe('created');
    const { ino } = await stat(spec.path);
    await chmod(spec.path, 0o644);
    expect(await ensureFile(spec)).toBe('unchanged');
    expect([await modeOf(spec.path), (await stat(spec.path)).ino]).toEqual([0o600, ino]);
    expect(await ensureFile({ ...spec, content: 'y' })).toBe('updated');
  });
});

it('readTextIfExists takes only absence for nothing', async () => {
  const file = path.join(directory, 'f');
  expect(await readTextIfExists(file)).toBeUndefined();
  await writeFile(file, 'x');
  expect(await readTextIfExists(file)).toBe('x');
  expect(await readTextIfExists(path.join(file, 'below'))).toBeUndefined();
  await expect(readTextIfExists(directory)).rejects.toMatchObject({ code: 'EISDIR' });
});

it('fillSecrets fills what it knows, literally', () => {
  const secrets = new Map([['key-1', '$& $1']]);
  const resolve = (name: string) => secrets.get(name) ?? expect.fail(`asked for ${name}`);
  // biome-ignore lint/suspicious/noTemplateCurlyInString: that is the syntax
  const filled = fillSecrets('a ${secret:key-1} ${other} $secret', resolve);
  // biome-ignore lint/suspicious/noTemplateCurlyInString: as above
  expect(filled).toBe('a $& $1 ${other} $secret');
});
