import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createUserSource, type UserSource } from '../../../src/stacks/user-source.ts';

const object = (name: string) => `apiVersion: v1\nkind: ConfigMap\nmetadata: {name: ${name}}\n`;

/** Real files, and a clock that the test moves. */
describe('the user source', () => {
  let root: string;
  let manifestsDir: string;
  let now: number;
  let source: UserSource;

  beforeEach(async () => {
    root = await mkdtemp(path.join(tmpdir(), 'mini-k8s-source-'));
    manifestsDir = path.join(root, 'manifests');
    await mkdir(path.join(manifestsDir, 'app'), { recursive: true });
    now = 0;
    source = createUserSource({
      manifestsDir,
      clock: { now: () => now },
      settleMs: 1_000,
      pruneAfterMs: 10_000,
    });
  });
  afterEach(async () => {
    await rm(root, { recursive: true });
  });

  const write = (name: string, text: string) => writeFile(path.join(manifestsDir, name), text);
  async function pollAt(ms: number, known: readonly string[] = ['app']) {
    now = ms;
    const polled = await source.poll(known);
    const app = polled.stacks.find(({ name }) => name === 'app');
    const names = app?.desired?.objects.map(({ ref }) => ref.name);
    return { ...polled, app, names };
  }

  it('reads files when they have settled, and allows pruning later still', async () => {
    await write('app/a.yaml', object('a'));
    expect(await pollAt(0)).toMatchObject({ names: undefined, lookAgainInMs: 1_000 });
    expect(await pollAt(999)).toMatchObject({ names: undefined, lookAgainInMs: 1 });
    expect(await pollAt(1_000)).toMatchObject({ names: ['a'], app: { mayPrune: false } });
    expect(await pollAt(10_000)).toMatchObject({ names: ['a'], app: { mayPrune: true } });
  });

  it('does not take a file that is being copied for a shorter one', async () => {
    await write('app/all.yaml', `${object('a')}---\n${object('b')}`);
    await pollAt(0);
    expect((await pollAt(20_000)).app?.mayPrune).toBe(true);
    await write('app/all.yaml', object('a'));
    expect(await pollAt(20_100)).toMatchObject({ names: ['a', 'b'], app: { mayPrune: false } });
    await write('app/all.yaml', `${object('a')}---\n${object('b')}---\n${object('c')}`);
    expect(await pollAt(21_200)).toMatchObject({ names: ['a', 'b'] });
    expect(await pollAt(22_200)).toMatchObject({ names: ['a', 'b', 'c'] });
  });

  it('keeps the same value as long as the files are the same', async () => {
    await write('app/a.yaml', object('a'));
    await pollAt(0);
    const first = (await pollAt(2_000)).app?.desired;
    expect((await pollAt(4_000)).app?.desired).toBe(first);
  });

  it('keeps the last good version beside the problem', async () => {
    await write('app/a.yaml', object('a'));
    await pollAt(0);
    await pollAt(20_000);
    await write('app/a.yaml', 'kind: [');
    await pollAt(20_100);
    const broken = await pollAt(40_000);
    expect(broken.names).toEqual(['a']);
    expect(broken.app?.problem).toMatch(/^Cannot read a\.yaml: line 1: /);
    expect(broken.app?.mayPrune).toBe(false);
    await write('app/a.yaml', object('a'));
    await pollAt(40_100);
    expect((await pollAt(60_000)).app?.problem).toBeUndefined();
  });

  it('passes over hidden, temporary and foreign files', async () => {
    for (const name of ['.a.yaml', 'a.yaml~', '#a.yaml#', 'a.yaml.swp', 'README.md']) {
      await write(`app/${name}`, 'kind: [');
    }
    await mkdir(path.join(manifestsDir, '.git'));
    await pollAt(0);
    const polled = await pollAt(2_000);
    expect(polled).toMatchObject({ names: [], strays: [], app: { problem: undefined } });
  });

  it('believes that a directory is gone only after a while', async () => {
    await pollAt(0);
    await rename(path.join(manifestsDir, 'app'), path.join(root, 'away'));
    expect(await pollAt(1_000)).toMatchObject({ gone: [], lookAgainInMs: 10_000 });
    expect((await pollAt(10_999)).gone).toEqual([]);
    expect((await pollAt(11_000)).gone).toEqual(['app']);
    await rename(path.join(root, 'away'), path.join(manifestsDir, 'app'));
    expect((await pollAt(12_000)).gone).toEqual([]);
  });

  it('calls nothing gone when the manifests directory is, and starts to count anew', async () => {
    await pollAt(0);
    await rename(manifestsDir, path.join(root, 'away'));
    const without = await pollAt(60_000);
    expect(without.gone).toEqual([]);
    expect(without.unreadable).toContain('ENOENT');
    await mkdir(manifestsDir);
    expect((await pollAt(61_000)).gone).toEqual([]);
    expect((await pollAt(71_000)).gone).toEqual(['app']);
  });

  it('makes the directory on a cluster without user stacks', async () => {
    await rm(manifestsDir, { recursive: true });
    await pollAt(0, []);
    expect((await pollAt(1, [])).unreadable).toBeUndefined();
  });

  it('refuses a file that is too large, without reading it', async () => {
    await write('app/big.yaml', `# ${'x'.repeat(9 * 1024 * 1024)}\n`);
    await pollAt(0);
    expect((await pollAt(2_000)).app?.problem).toContain('at most 8388608 are allowed');
  });

  it('reports an entry that cannot be looked at, and reads the others', async () => {
    await write('app/a.yaml', object('a'));
    await symlink('loop', path.join(manifestsDir, 'loop'));
    await pollAt(0);
    const polled = await pollAt(2_000);
    expect(polled.names).toEqual(['a']);
    expect(polled.stacks.find(({ name }) => name === 'loop')?.problem).toContain('ELOOP');
  });
});
