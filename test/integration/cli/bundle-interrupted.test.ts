import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { access, readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { waitFor } from '../../../src/base/time.ts';
import { bundleRig, runCli } from './bundle-rig.ts';

/** So much that level 19 works on it for many seconds, whatever the machine. */
const slowBytes = 30_000_000;

test.each([
  ['SIGKILL', null],
  ['SIGINT', 130],
] as const)(
  '%s while a bundle is written leaves no file under its name, and the next create makes it',
  async (signal, exitCode) => {
    const rig = await bundleRig({ kubeletBytes: slowBytes });
    const out = path.join(rig.folder, 'bundle.tar.zst');
    const args = [
      ...['bundle', 'create', '--out', out, '--role', 'worker', '--arch', 'amd64'],
      ...['--config', rig.config, '--data-dir', rig.dataDir],
    ];
    const main = path.resolve(import.meta.dirname, '../../../src/main.ts');
    const child = spawn(process.execPath, [main, ...args, '--compression', '19'], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    onTestFinished(() => void child.kill('SIGKILL'));
    let stderr = '';
    child.stderr.on('data', (chunk: Buffer) => {
      stderr += chunk.toString();
    });
    const exited = once(child, 'close');
    await waitFor(() => exists(`${out}.partial/archive.tmp`), {
      ...{ subject: 'the archive to grow', timeoutMs: 120_000 },
    });
    child.kill(signal);
    expect((await exited)[0], stderr).toBe(exitCode);
    if (signal === 'SIGINT') {
      expect(stderr).toBe('stopped (SIGINT); the next create of this bundle goes on from here\n');
    }
    await expect(stat(out)).rejects.toThrow('ENOENT');

    expect(await runCli(...args, '--compression', '1')).toMatchObject({ exitCode: 0, stderr: '' });
    expect(await runCli('bundle', 'verify', out)).toMatchObject({ exitCode: 0 });
    expect((await readdir(rig.folder)).filter((name) => name.includes('partial'))).toEqual([]);
  },
  300_000,
);

async function exists(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    () => false,
  );
}
