import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { describe, expect, test } from 'vitest';
import { sleep, waitFor } from '../../../src/base/time.ts';
import { defaultOutputTiming, OutputFollower } from '../../../src/supervisor/output.ts';
import { fixture, Rig, statusOf } from './rig.ts';

const never = new AbortController().signal;
const rotateBytes = 64 * 1024;

/** How many bytes a process has handed to write(2). */
function readWritten(pid: number): number {
  return Number(/^wchar: (\d+)$/m.exec(readFileSync(`/proc/${pid}/io`, 'utf8'))?.[1]);
}

describe('the output of a process', () => {
  test('reaches the log with its level and component', async () => {
    await using rig = new Rig();
    const program = rig.process({
      name: 'chatty',
      executable: process.execPath,
      args: [fixture('chatty.ts'), '3'],
    });
    const supervisor = rig.supervise([program]);
    await supervisor.start(never);
    const lines = () => rig.log.filter(({ msg }) => msg.startsWith('chatty.go'));
    await waitFor(() => lines().length === 3, { subject: '3 lines', timeoutMs: 20_000 });
    expect(lines()[1]).toMatchObject({ level: 'info', component: 'chatty' });
    expect(lines()[1]?.msg).toMatch(/^chatty.go:2\] line 2 \.+$/);
  });

  test('is kept in two files of bounded size, with the last 20 lines at hand, in little memory', async () => {
    await using rig = new Rig();
    const outputTiming = { ...defaultOutputTiming, pollMs: 600_000, rotateBytes, batchMs: 5 };
    const deps = { ...rig.deps, outputTiming };
    Object.assign(rig, { deps });
    const lineCount = 200_000; // 20 MB
    const program = rig.process({
      name: 'chatty',
      executable: process.execPath,
      args: [fixture('chatty.ts'), String(lineCount)],
    });
    const before = process.memoryUsage().arrayBuffers;
    const supervisor = rig.supervise([program]);
    await supervisor.start(never);
    const file = rig.file('log/chatty.log');
    const { state } = statusOf(supervisor, 'chatty');
    if (state.type !== 'Running' || state.pid === undefined) throw new Error(state.type);
    const { pid } = state;
    // The flood is over when all of it was seen; only then is the end of the output certain to be kept.
    await waitFor(() => readWritten(pid) >= lineCount * 100 && statSync(file).size <= rotateBytes, {
      subject: 'the end of the flood',
      timeoutMs: 120_000,
      describe: () => `${readWritten(pid)} bytes written, ${statSync(file).size} in the file`,
    });
    process.kill(pid, 'SIGUSR2');
    const lastLine = () => statusOf(supervisor, 'chatty').lastOutput.at(-1) ?? '';
    await waitFor(() => lastLine().includes(`line ${lineCount + 20} `), {
      subject: 'the last line',
      timeoutMs: 20_000,
      describe: lastLine,
    });
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(16 * 1024 * 1024);
    const numbers = statusOf(supervisor, 'chatty').lastOutput.map(
      (line) => / line (\d+) /.exec(line)?.[1],
    );
    expect(numbers).toEqual(Array.from({ length: 20 }, (_, n) => String(lineCount + 1 + n)));
    expect(statSync(rig.file('log/chatty.log')).size).toBeLessThanOrEqual(2 * rotateBytes);
    expect(existsSync(rig.file('log/chatty.log.1'))).toBe(true);
    expect(existsSync(rig.file('log/chatty.log.2'))).toBe(false);
  });
});

describe('OutputFollower', () => {
  const quick = { ...defaultOutputTiming, batchMs: 1, pollMs: 600_000, rotateBytes };

  function follow(rig: Rig, name: string, timing = quick) {
    const file = rig.file(name);
    writeFileSync(file, 'from before\n');
    return { file, follower: new OutputFollower(file, rig.logger, timing) };
  }

  test('begins where the file ends and reads the rest on close, also an unfinished line', async () => {
    await using rig = new Rig();
    const { file, follower } = follow(rig, 'a.log');
    appendFileSync(file, 'one\ntw');
    appendFileSync(file, 'o\nthr');
    follower.close();
    follower.close();
    expect(follower.lastLines()).toEqual(['one', 'two', 'thr']);
  });

  test('gives indented lines the level of the record that they go on with', async () => {
    await using rig = new Rig();
    const { file, follower } = follow(rig, 'a.log');
    const klog = (level: string, text: string) =>
      `${level}1121 09:23:11.000000       7 a.go:1] ${text}`;
    const lines = [klog('E', '"failed" err=<'), '\tthe reason', ' >', klog('I', 'done'), '\tmore'];
    appendFileSync(file, `${lines.join('\n')}\n`);
    follower.close();
    expect(rig.log.slice(-5).map(({ level }) => level)).toEqual([
      ...['error', 'error', 'error'],
      ...['info', 'info'],
    ]);
  });

  test('loses no line over a rotation when the writer pauses', async () => {
    await using rig = new Rig();
    const { file, follower } = follow(rig, 'a.log');
    const seen = () => rig.log.filter(({ msg }) => msg.startsWith('line')).length;
    for (let n = 1; n <= 30; n += 1) {
      appendFileSync(file, `${`line ${n}`.padEnd(9999, '.')}\n`);
      await waitFor(() => seen() === n, { subject: `line ${n}`, timeoutMs: 20_000, intervalMs: 1 });
    }
    follower.close();
    expect(statSync(file).size).toBeLessThan(rotateBytes + 10_000);
    expect(readFileSync(`${file}.1`, 'utf8').includes('line 28.')).toBe(true);
  });

  test('loses no line that is written while it makes room', async () => {
    await using rig = new Rig();
    const { file, follower } = follow(rig, 'a.log');
    const write = rig.log.push.bind(rig.log);
    // The logger is called between the first look at the file and its truncation.
    rig.log.push = (...records) => {
      if (records[0]?.msg === 'now') appendFileSync(file, 'late\n');
      return write(...records);
    };
    appendFileSync(file, `${`${'x'.repeat(999)}\n`.repeat(66)}now\n`);
    await waitFor(() => statSync(file).size === 0, { subject: 'rotation', timeoutMs: 20_000 });
    follower.close();
    expect(follower.lastLines().slice(-2)).toEqual(['now', 'late']);
  });

  test('skips a flood, says so, and keeps its end', async () => {
    await using rig = new Rig();
    const { file, follower } = follow(rig, 'a.log');
    appendFileSync(file, `${`${'.'.repeat(999)}\n`.repeat(2000)}the end\n`);
    follower.close();
    expect(follower.lastLines().at(-1)).toBe('the end');
    expect(rig.log.length).toBeLessThan(80);
    expect(rig.log.some(({ msg }) => /^Skipped 19\d{5} bytes of output/.test(msg))).toBe(true);
  });

  test('starts over when somebody else emptied the file', async () => {
    await using rig = new Rig();
    const { file, follower } = follow(rig, 'a.log');
    writeFileSync(file, 'new\n');
    follower.close();
    expect(follower.lastLines()).toEqual(['new']);
  });

  test('keeps reading when it cannot keep the older output', async () => {
    await using rig = new Rig();
    const { file, follower } = follow(rig, 'a.log');
    mkdirSync(`${file}.1`);
    appendFileSync(file, `${'x'.repeat(999)}\n`.repeat(70));
    await waitFor(() => statSync(file).size === 0, { subject: 'rotation', timeoutMs: 20_000 });
    appendFileSync(file, 'after\n');
    follower.close();
    expect(follower.lastLines().at(-1)).toBe('after');
    expect(rig.log.some(({ msg }) => msg.startsWith('Cannot keep the older output'))).toBe(true);
  });

  test('costs no processor time while nothing is written', async () => {
    await using rig = new Rig();
    const followers = Array.from({ length: 10 }, (_, n) => follow(rig, `${n}.log`).follower);
    const used: number[] = [];
    const isQuiet = async () => {
      const before = process.cpuUsage();
      await sleep(500);
      const { user, system } = process.cpuUsage(before);
      used.push(user + system);
      return user + system < 50_000;
    };
    // This process has other work now and then, such as its garbage; a follower that looked would do so every time.
    await waitFor(isQuiet, {
      ...{ subject: 'half a second without work', timeoutMs: 20_000 },
      describe: () => `microseconds: ${used.join()}`,
    });
    for (const follower of followers) follower.close();
  });
});
