import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { waitFor } from '../../../src/base/time.ts';
import { componentVariable, instanceVariable } from '../../../src/supervisor/environment.ts';
import { endOrphans } from '../../../src/supervisor/orphans.ts';
import { fixture, isRunning, kill, markedPids, Rig } from './rig.ts';

const never = new AbortController().signal;

/** Runs a supervisor in a process of its own and kills it when its components run. */
async function leaveOrphans(rig: Rig): Promise<void> {
  const host = spawn(process.execPath, [fixture('supervisor-host.ts'), rig.dir], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  await new Promise<void>((resolve, reject) => {
    host.stdout.once('data', () => resolve());
    host.once('exit', (code) => reject(new Error(`The host exited with ${code}`)));
  });
  await waitFor(() => existsSync(rig.file('started')), { subject: 'the shim', timeoutMs: 20_000 });
  const exited = new Promise((resolve) => host.once('exit', resolve));
  host.kill('SIGKILL');
  await exited;
}

function sweep(rig: Rig, instance = rig.dir) {
  return endOrphans({
    pidDir: rig.file('pid'),
    instance,
    executables: [process.execPath],
    stopTimeoutMs: 2000,
    logger: rig.logger,
    onEvent: (event) => rig.events.push(event),
  });
}

function pidIn(rig: Rig, file: string): number {
  return Number(rig.read(file).trim());
}

/** Starts a process with the given markers, as a stranger or a leftover would have them. */
async function startMarked(rig: Rig, name: string, instance: string): Promise<ChildProcess> {
  const env = { [componentVariable]: name, [instanceVariable]: instance };
  const child = spawn(process.execPath, [fixture('stays.ts')], {
    env,
    detached: true,
    stdio: 'ignore',
  });
  mkdirSync(rig.file('pid'), { recursive: true });
  await waitFor(() => child.pid !== undefined && isRunning(child.pid), {
    subject: name,
    timeoutMs: 20_000,
  });
  return child;
}

describe('after the supervisor was killed', () => {
  test('its processes are ended, their groups too, and what left its group lives on', async () => {
    await using rig = new Rig();
    await leaveOrphans(rig);
    const [stays, shim] = [pidIn(rig, 'stays.pid'), pidIn(rig, 'leaves.pid')];
    const program = JSON.parse(rig.read('pid/program.json')).pid as number;
    expect([program, stays, shim].map(isRunning)).toEqual([true, true, true]);
    const ended = await sweep(rig);
    expect(ended.map(({ name }) => name).sort()).toEqual(['program', 'with-shim']);
    expect(rig.history('program')).toEqual(['orphan-ended']);
    expect([program, stays, shim].map(isRunning)).toEqual([false, false, true]);
    expect(readdirSync(rig.file('pid'))).toEqual([]);
    expect(await sweep(rig)).toEqual([]);
    await kill(shim);
  });

  test('the next one starts exactly one of each', async () => {
    await using rig = new Rig();
    await leaveOrphans(rig);
    await kill(pidIn(rig, 'leaves.pid'));
    await sweep(rig);
    const program = rig.process({
      name: 'program',
      executable: process.execPath,
      args: [fixture('stays.ts')],
    });
    const supervisor = rig.supervise([program]);
    await supervisor.start(never);
    expect(markedPids(rig.dir)).toEqual([JSON.parse(rig.read('pid/program.json')).pid]);
  });

  test('a process is found without its pid file, by executable and marker', async () => {
    await using rig = new Rig();
    await leaveOrphans(rig);
    rmSync(rig.file('pid/program.json'));
    writeFileSync(rig.file('pid/with-shim.json.tmp'), 'half');
    const ended = await sweep(rig);
    expect(ended.map(({ name }) => name).sort()).toEqual(['program', 'with-shim']);
    await kill(pidIn(rig, 'leaves.pid'));
  });

  test('what is left of a group whose leader is gone is ended as well', async () => {
    await using rig = new Rig();
    await leaveOrphans(rig);
    await kill(JSON.parse(rig.read('pid/with-shim.json')).pid);
    const stays = pidIn(rig, 'stays.pid');
    expect(isRunning(stays)).toBe(true);
    await sweep(rig);
    expect(isRunning(stays)).toBe(false);
    await kill(pidIn(rig, 'leaves.pid'));
  });
});

describe('endOrphans spares', () => {
  test('a process of another instance, whatever a pid file says', async () => {
    await using rig = new Rig();
    const stranger = await startMarked(rig, 'program', '/another/instance');
    const pid = stranger.pid ?? 0;
    const startTime = Number(
      readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ')[19],
    );
    const record = { pid, startTime, executable: process.execPath };
    writeFileSync(rig.file('pid/program.json'), JSON.stringify(record));
    expect(await sweep(rig)).toEqual([]);
    expect(isRunning(pid)).toBe(true);
    stranger.kill('SIGKILL');
  });

  test('a process with the marker but another executable', async () => {
    await using rig = new Rig();
    const env = {
      PATH: '/usr/bin:/bin',
      [componentVariable]: 'runtime',
      [instanceVariable]: rig.dir,
    };
    const shim = spawn('sleep', ['1000'], { env, detached: true, stdio: 'ignore' });
    await waitFor(() => markedPids(rig.dir).length === 1, {
      subject: 'the shim',
      timeoutMs: 20_000,
    });
    expect(await sweep(rig)).toEqual([]);
    expect(isRunning(shim.pid ?? 0)).toBe(true);
    await kill(shim.pid ?? 0);
  });

  test('a process that got the pid of a dead component', async () => {
    await using rig = new Rig();
    const later = await startMarked(rig, 'program', '/another/instance');
    const record = { pid: later.pid, startTime: 1, executable: '/bin/etcd' };
    writeFileSync(rig.file('pid/etcd.json'), JSON.stringify(record));
    writeFileSync(rig.file('pid/broken.json'), '{"pid":');
    writeFileSync(rig.file('pid/init.json'), '{"pid":1,"startTime":1,"executable":"/sbin/init"}');
    expect(await sweep(rig)).toEqual([]);
    expect(isRunning(later.pid ?? 0)).toBe(true);
    expect(readdirSync(rig.file('pid'))).toEqual([]);
    later.kill('SIGKILL');
  });
});
