import { execFile, execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { waitFor } from '../../../src/base/time.ts';
import { findOrphans } from '../../../src/supervisor/orphans.ts';
import { listPids, readExecutable } from '../../../src/supervisor/proc-files.ts';
import { componentBinary } from '../../support/components.ts';
import { isRunning, markedPids, Rig, statusOf } from './rig.ts';

const never = new AbortController().signal;
const run = promisify(execFile);

/** A root file system with nothing but /bin/sleep and what it is linked to. */
function makeRootfs(directory: string): void {
  const libraries = execFileSync('ldd', ['/bin/sleep'], { encoding: 'utf8' }).match(/\/\S+/g) ?? [];
  for (const file of ['/bin/sleep', ...libraries]) {
    mkdirSync(path.join(directory, path.dirname(file)), { recursive: true });
    copyFileSync(file, path.join(directory, file));
  }
}

function containerdConfig(rig: Rig): string {
  const file = rig.file('config.toml');
  writeFileSync(
    file,
    [
      'version = 3',
      `root = "${rig.file('root')}"`,
      `state = "${rig.file('state')}"`,
      'disabled_plugins = ["io.containerd.cri.v1.images", "io.containerd.cri.v1.runtime", "io.containerd.grpc.v1.cri"]',
      '[grpc]',
      `address = "${rig.file('containerd.sock')}"`,
      '',
    ].join('\n'),
  );
  return file;
}

test('containers live on when containerd is restarted, and are no orphans', async () => {
  await using rig = new Rig();
  const executable = componentBinary('containerd');
  const searchPath = `${path.dirname(executable)}:/usr/sbin:/usr/bin:/sbin:/bin`;
  const containerd = rig.process({
    name: 'containerd',
    executable,
    args: ['--config', containerdConfig(rig)],
    env: { PATH: searchPath },
    readiness: { type: 'unix', path: rig.file('containerd.sock') },
  });
  const id = path.basename(rig.dir);
  const ctr = (...args: string[]) =>
    run(componentBinary('ctr'), ['--address', rig.file('containerd.sock'), ...args], {
      env: { PATH: searchPath },
    });
  const supervisor = rig.supervise([containerd]);
  await supervisor.start(never);
  makeRootfs(rig.file('rootfs'));
  await ctr('run', '--detach', '--rootfs', rig.file('rootfs'), id, '/bin/sleep', '1000');
  try {
    const shimFile = componentBinary('containerd-shim-runc-v2');
    const [shim] = listPids().filter(
      (pid) => readExecutable(pid) === shimFile && markedPids(rig.dir).includes(pid),
    );
    if (shim === undefined) throw new Error('No shim carries the marker');
    await supervisor.restart('containerd');
    await supervisor.waitReady(undefined, never);
    expect(isRunning(shim)).toBe(true);
    expect((await ctr('task', 'ls')).stdout).toMatch(new RegExp(`${id} +\\d+ +RUNNING`));

    const { state } = statusOf(supervisor, 'containerd');
    if (state.type !== 'Running') throw new Error(state.type);
    const orphans = findOrphans({
      pidDir: rig.file('pid'),
      instance: rig.dir,
      executables: [executable],
    });
    expect(orphans.map(({ pid }) => pid)).toEqual([state.pid]);
  } finally {
    await ctr('task', 'rm', '--force', id);
    await ctr('container', 'rm', id);
    await waitFor(() => markedPids(rig.dir).length === 1, {
      subject: 'the end of the shim',
      timeoutMs: 20_000,
    });
  }
});
