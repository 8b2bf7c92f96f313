import {
  chmodSync,
  chownSync,
  existsSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { describe, expect, test } from 'vitest';
import { errorCode } from '../../../src/base/errors.ts';
import { waitFor } from '../../../src/base/time.ts';
import { isRunning, kill, Rig, statusOf } from './rig.ts';

const never = new AbortController().signal;

function firstPid(rig: Rig, file: string): number {
  return Number(rig.read(file).trim());
}

/** What this process would hand to any child, since whoever started it left it open. */
function inheritableDescriptors(): readonly string[] {
  const closeOnExec = 0o2000000;
  return readdirSync('/proc/self/fdinfo').filter((fd) => {
    if (!existsSync(`/proc/self/fdinfo/${fd}`)) return false;
    const flags = /^flags:\s+(\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))?.[1];
    return (Number.parseInt(flags ?? '0', 8) & closeOnExec) === 0;
  });
}

/** What the descriptors of a process lead to, as far as they are there while they are looked at. */
function targetsOf(pid: number | undefined, isAskedFor: (fd: string) => boolean): string[] {
  const directory = `/proc/${pid}/fd`;
  return readdirSync(directory)
    .filter(isAskedFor)
    .map((fd) => {
      try {
        return readlinkSync(`${directory}/${fd}`);
      } catch (error) {
        if (errorCode(error) === 'ENOENT') return 'closed meanwhile';
        throw error;
      }
    });
}

describe('a process', () => {
  // The tunnel's case 19: kube-apiserver would go through a proxy of ours.
  test('case 19: gets its own group and nothing of our environment', async () => {
    process.env['NOTIFY_SOCKET'] = '/run/notify';
    process.env['HTTPS_PROXY'] = 'http://proxy:3128';
    await using rig = new Rig();
    const supervisor = rig.supervise([
      rig.script('me', ['tells-who-it-is.sh'], { env: { GOGC: '25' } }),
    ]);
    await supervisor.start(never);
    await waitFor(() => rig.read('log/me.log').includes('uid='), {
      subject: 'output',
      timeoutMs: 20_000,
    });
    const lines = rig.read('log/me.log').trim().split('\n');
    const names = lines.flatMap((line) => /^(\w+)=/.exec(line)?.[1] ?? []);
    const ofShell = ['PWD', 'OLDPWD', 'SHLVL', '_', 'uid'];
    expect(names.filter((name) => !ofShell.includes(name))).toEqual([
      'GOGC',
      'HOME',
      'MINI_K8S_COMPONENT',
      'MINI_K8S_INSTANCE',
      'PATH',
    ]);
    const { state } = statusOf(supervisor, 'me');
    if (state.type !== 'Running') throw new Error(state.type);
    expect(lines.at(-1)).toBe(`uid=0 gid=0 groups=0 cwd=/ group=${state.pid} pid=${state.pid}`);
    delete process.env['NOTIFY_SOCKET'];
    delete process.env['HTTPS_PROXY'];
  });

  test('has no descriptors but its log file', async () => {
    await using rig = new Rig();
    const sleeper = rig.process({ name: 'sleeper', executable: '/bin/sleep', args: ['1000'] });
    const supervisor = rig.supervise([sleeper]);
    await supervisor.start(never);
    const { state } = statusOf(supervisor, 'sleeper');
    if (state.type !== 'Running') throw new Error(state.type);
    const { pid } = state;
    const inherited = inheritableDescriptors();
    const log = rig.file('log/sleeper.log');
    const own = () => targetsOf(pid, (fd) => Number(fd) < 3 || !inherited.includes(fd)).join();
    // The dynamic loader has its libraries open for a moment; what was inherited would stay.
    await waitFor(() => own() === ['/dev/null', log, log].join(), {
      subject: 'no other descriptors',
      timeoutMs: 20_000,
      intervalMs: 5,
      describe: own,
    });
  });

  test.runIf(process.getuid?.() === 0)('runs as its user, without groups of root', async () => {
    await using rig = new Rig();
    chownSync(rig.dir, 65534, 65534);
    const supervisor = rig.supervise([
      rig.script('me', ['tells-who-it-is.sh'], { uid: 65534, gid: 65534 }),
    ]);
    await supervisor.start(never);
    await waitFor(() => rig.read('log/me.log').includes('uid='), {
      subject: 'output',
      timeoutMs: 20_000,
    });
    expect(rig.read('log/me.log')).toContain('uid=65534 gid=65534 groups=65534 ');
  });

  test('has a pid file while it runs, which names it for good', async () => {
    await using rig = new Rig();
    const supervisor = rig.supervise([rig.wellBehaved('a')]);
    await supervisor.start(never);
    const record = JSON.parse(rig.read('pid/a.json'));
    const stat = readFileSync(`/proc/${record.pid}/stat`, 'utf8').split(') ')[1]?.split(' ');
    expect(statusOf(supervisor, 'a').state).toMatchObject({ pid: record.pid });
    expect(record.startTime).toBe(Number(stat?.[19]));
    expect(record.executable).toMatch(/^\/(usr\/)?bin\//);
    await supervisor.stop();
    expect(existsSync(rig.file('pid/a.json'))).toBe(false);
  });

  test('gets its oom_score_adj; a refused one is a line in the log', async () => {
    await using rig = new Rig();
    const supervisor = rig.supervise([
      rig.script('liked', ['never-ready.sh'], { limits: { oomScoreAdj: 500 } }),
      rig.script('refused', ['never-ready.sh'], { limits: { oomScoreAdj: 5000 } }),
    ]);
    await supervisor.start(never);
    const { state } = statusOf(supervisor, 'liked');
    if (state.type !== 'Running') throw new Error(state.type);
    expect(readFileSync(`/proc/${state.pid}/oom_score_adj`, 'utf8').trim()).toBe('500');
    const refusals = rig.log.filter(({ msg }) => msg.includes('oom_score_adj 5000 was refused'));
    expect(refusals).toMatchObject([{ component: 'refused' }]);
  });
});

describe('stop', () => {
  test('kills the whole group of a process that ignores SIGTERM', async () => {
    await using rig = new Rig();
    const supervisor = rig.supervise([
      rig.script('deaf', ['ignores-sigterm.sh', rig.dir], {
        stopTimeoutMs: 300,
        readyFile: 'child.pid',
      }),
    ]);
    await supervisor.start(never);
    const child = firstPid(rig, 'child.pid');
    expect(isRunning(child)).toBe(true);
    await supervisor.stop();
    expect(isRunning(child)).toBe(false);
    const { elapsedMs } = await rig.waitForEvent('component-stopped');
    expect(elapsedMs).toBeGreaterThanOrEqual(295);
    // Every other process of the rig is given 10 s.
    expect(elapsedMs).toBeLessThan(9_000);
    expect(statusOf(supervisor, 'deaf').state).toMatchObject({
      type: 'Terminated',
      termination: {
        signal: 'SIGKILL',
        reason: 'Stopped',
        message: 'did not end within 0.3 s of SIGTERM',
      },
    });
  });

  test('ends what is left in the group, and spares what has left it', async () => {
    await using rig = new Rig();
    const supervisor = rig.supervise([
      rig.script('runtime', ['leaves-its-group.sh', rig.dir], { readyFile: 'started' }),
    ]);
    await supervisor.start(never);
    const [stays, shim] = [firstPid(rig, 'stays.pid'), firstPid(rig, 'leaves.pid')];
    await supervisor.stop();
    expect(isRunning(stays)).toBe(false);
    expect(isRunning(shim)).toBe(true);
    await kill(shim);
  });
});

describe('a process that cannot serve', () => {
  test('is ended after its start time-out, with the last probe and its last words, and tried again', async () => {
    await using rig = new Rig();
    const supervisor = rig.supervise([
      rig.script('slow', ['never-ready.sh'], { readyFile: 'never', startTimeoutMs: 300 }),
    ]);
    const started = supervisor.start(never).catch(() => 'rejected');
    const { termination } = await rig.waitForEvent('component-terminated', 2);
    expect(termination.reason).toBe('StartTimeout');
    expect(termination.message).toMatch(
      /^not ready 0.3 s after its start: running \/bin\/ls: exited with code 2: .*never/,
    );
    // On a busy machine a start may be over before the shell has had its turn; then it is the next one.
    const lastWords = () =>
      rig.events.flatMap((event) =>
        event.type === 'component-terminated' ? [event.lastOutput] : [],
      );
    await waitFor(() => lastWords().some(({ length }) => length > 0), {
      ...{ subject: 'last words', timeoutMs: 60_000, describe: () => JSON.stringify(rig.events) },
    });
    const said = lastWords().filter(({ length }) => length > 0);
    expect(said).toEqual(said.map(() => ['waiting for a peer that does not come']));
    await supervisor.stop();
    expect(await started).toBe('rejected');
  });

  test('is reported at once when it exits during its start', async () => {
    await using rig = new Rig();
    const supervisor = rig.supervise([
      rig.script('crashing', ['crashes-at-first.sh', '1', rig.dir], {
        readyFile: 'recovered',
        startTimeoutMs: 60_000,
      }),
    ]);
    const before = performance.now();
    await supervisor.start(never);
    expect(performance.now() - before).toBeLessThan(30_000);
    expect(rig.history('crashing')).toEqual(['starting', 'terminated', 'starting', 'ready']);
  });

  test('is tried again when its log cannot be opened', async () => {
    await using rig = new Rig();
    writeFileSync(rig.file('log'), 'a file where a directory should be');
    const supervisor = rig.supervise([rig.wellBehaved('a')]);
    const started = supervisor.start(never);
    const { termination } = await rig.waitForEvent('component-terminated');
    expect(termination.message).toMatch(/^its output cannot be written to .*log\/a\.log \(E/);
    rmSync(rig.file('log'));
    await started;
  });

  test('runs all the same when it cannot leave a pid file', async () => {
    await using rig = new Rig();
    writeFileSync(rig.file('pid'), 'a file where a directory should be');
    const supervisor = rig.supervise([rig.wellBehaved('a')]);
    await supervisor.start(never);
    expect(rig.history('a')).toEqual(['starting', 'ready']);
    expect(rig.log.some(({ msg }) => msg.startsWith('Cannot write the pid file of a'))).toBe(true);
    await supervisor.stop();
    rmSync(rig.file('pid'));
  });

  const broken = [
    ['does not exist', undefined, 0, /tool does not exist \(ENOENT\)/],
    [
      'is not executable',
      '#!/bin/sh\nsleep 9',
      0o644,
      /tool may not be executed \(EACCES, mode 644\)/,
    ],
    ['has no interpreter', '#!/no/such/loader\n', 0o755, /exists, but not the dynamic loader/],
    ['is for another machine', '\u007fELF but not really', 0o755, /no executable for this machine/],
  ] as const;
  test.each(broken)(
    'is tried again when its executable %s',
    async (_name, content, mode, message) => {
      await using rig = new Rig();
      const executable = rig.file('tool');
      if (content !== undefined) writeFileSync(executable, content);
      if (content !== undefined) chmodSync(executable, mode);
      const supervisor = rig.supervise([
        rig.process({ name: 'tool', executable }),
        rig.wellBehaved('other'),
      ]);
      const started = supervisor.start(never);
      const { termination } = await rig.waitForEvent('component-terminated', 2);
      expect(termination).toMatchObject({
        reason: 'Error',
        message: expect.stringMatching(message),
      });
      // It is tried again every now and then, and only in between it shows that.
      const reason = () => JSON.stringify(statusOf(supervisor, 'tool').state);
      await waitFor(() => reason().includes('"reason":"CrashLoopBackOff"'), {
        ...{ subject: 'CrashLoopBackOff', timeoutMs: 20_000, intervalMs: 5, describe: reason },
      });
      await supervisor.waitReady(['other'], never);
      // Whole before visible: a file that is being written cannot be executed either.
      writeFileSync(`${executable}.new`, '#!/bin/sh\nexec sleep 1000\n', { mode: 0o755 });
      renameSync(`${executable}.new`, executable);
      await started;
      expect(statusOf(supervisor, 'tool').state).toMatchObject({ type: 'Running', ready: true });
    },
  );
});
