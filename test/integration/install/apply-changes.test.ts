import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { applyChanges } from '../../../src/install/apply-changes.ts';
import { comparePlan } from '../../../src/install/compare-plan.ts';
import { hasSameContent } from '../../../src/install/replace-executable.ts';
import type { InstallPlan } from '../../../src/install/types.ts';

describe('applyChanges', () => {
  let directory: string;
  let plan: InstallPlan;
  const at = (name: string) => path.join(directory, name);
  const apply = async (source: string) =>
    applyChanges(await comparePlan(plan, source), { plan, source });

  beforeEach(async () => {
    directory = await mkdtemp(path.join(tmpdir(), 'mini-k8s-install-'));
    const owner = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
    plan = {
      manager: 'systemd',
      command: 'controller',
      dataDir: at('data'),
      executable: at('bin/program'),
      previousExecutable: at('lib/previous'),
      files: [
        { path: at('etc/environment'), content: 'A=1\n', mode: 0o600, ...owner },
        { path: at('etc/unit'), content: 'run it\n', mode: 0o644, ...owner },
      ],
    };
    await writeFile(at('first'), 'first build');
    await writeFile(at('second'), 'second, longer build');
  });
  afterEach(async () => {
    await rm(directory, { recursive: true, force: true });
  });

  test('puts everything in place, and finds nothing to do afterwards', async () => {
    await apply(at('first'));
    expect(await readFile(at('bin/program'), 'utf8')).toBe('first build');
    expect((await stat(at('bin/program'))).mode & 0o777).toBe(0o755);
    expect((await stat(at('etc/environment'))).mode & 0o777).toBe(0o600);
    expect(await comparePlan(plan, at('first'))).toEqual([]);
    expect(await readdir(at('bin'))).toEqual(['program']);
  });

  test('keeps the executable that was there, and its own name never goes away', async () => {
    await apply(at('first'));
    const before = await stat(at('bin/program'));
    await apply(at('second'));
    expect(await readFile(at('bin/program'), 'utf8')).toBe('second, longer build');
    expect(await readFile(at('lib/previous'), 'utf8')).toBe('first build');
    expect((await stat(at('lib/previous'))).ino).toBe(before.ino);
  });

  test('an executable that installs itself is not copied', async () => {
    await mkdir(at('bin'));
    await writeFile(at('bin/program'), 'itself');
    expect(await comparePlan({ ...plan, files: [] }, at('bin/program'))).toEqual([]);
  });

  test('what fails half-way is undone', async () => {
    await apply(at('first'));
    // A directory where a file should be: the last step fails.
    await rm(at('etc/unit'));
    const changed = { ...plan, files: [{ ...plan.files[0], content: 'A=2\n' }, plan.files[1]] };
    plan = changed as InstallPlan;
    const changes = await comparePlan(plan, at('second'));
    await mkdir(at('etc/unit'));
    await expect(applyChanges(changes, { plan, source: at('second') })).rejects.toThrow(/EISDIR/);
    expect(await readFile(at('bin/program'), 'utf8')).toBe('first build');
    expect(await readFile(at('etc/environment'), 'utf8')).toBe('A=1\n');
    expect((await stat(at('etc/environment'))).mode & 0o777).toBe(0o600);
    expect(
      (await readdir(directory, { recursive: true })).filter((name) => /\.tmp$/.test(name)),
    ).toEqual([]);
  });

  test('what was done can be taken back', async () => {
    await apply(at('first'));
    const takeBack = await apply(at('second'));
    await takeBack();
    expect(await comparePlan(plan, at('first'))).toEqual([]);
    await rm(at('etc'), { recursive: true });
    await rm(at('bin/program'));
    await (await apply(at('second')))();
    expect(await readdir(at('etc'))).toEqual([]);
    expect(await readdir(at('bin'))).toEqual([]);
  });

  test('a source that cannot be read leaves nothing behind', async () => {
    await chmod(at('first'), 0o644);
    await expect(apply(at('nowhere'))).rejects.toThrow(/ENOENT/);
    expect(await readdir(at('bin'))).toEqual([]);
  });

  test.each([
    ['equal', 'equal', true],
    ['equal', 'equaL', false],
    ['equal', 'equal and more', false],
  ])('compares %j with %j', async (left, right, isSame) => {
    await writeFile(at('left'), left);
    await writeFile(at('right'), right);
    expect(await hasSameContent(at('left'), at('right'))).toBe(isSame);
    expect(await hasSameContent(at('left'), at('nowhere'))).toBe(false);
  });
});
