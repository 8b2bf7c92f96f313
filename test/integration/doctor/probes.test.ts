import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { parseConfig } from '../../../src/config/parse.ts';
import { pathsFor } from '../../../src/config/paths.ts';
import { examineDataDirectory } from '../../../src/doctor/data-directory.ts';
import { examinePageSize } from '../../../src/doctor/page-size.ts';
import { examinePorts, type PortUse } from '../../../src/doctor/ports.ts';
import { runCommand } from '../../../src/doctor/run-command.ts';
import {
  type Feature,
  type FeatureOutcome,
  features,
  tryFeatures,
} from '../../../src/doctor/try-features.ts';
import type { Machine } from '../../../src/doctor/types.ts';
import { examineWriteLatency } from '../../../src/doctor/write-latency.ts';
import { nodeSkipReason } from '../../support/node/skip-reason.ts';
import { smallHost } from '../../support/plan-inputs.ts';

const { signal } = new AbortController();
let directory: string;

beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'mini-k8s-doctor-'));
});
afterEach(async () => {
  await rm(directory, { recursive: true, force: true });
});

async function machine(change: Partial<Machine> = {}): Promise<Machine> {
  return {
    config: await parseConfig('', 'test'),
    host: smallHost,
    paths: pathsFor({ dataDir: path.join(directory, 'data') }),
    hasControlPlane: true,
    runsWorkloads: true,
    ports: [],
    hostSettings: [],
    authorities: [],
    certificates: [],
    ...change,
  };
}

const tryFeaturesModule = path.resolve(import.meta.dirname, '../../../src/doctor/try-features.ts');

/**
 * Tries the features in namespaces of the test's own, where nobody else mounts or links anything, and looks at these
 * before and after.
 * @param prepare a shell script; `$1` is the test's directory. @param dataDir below that directory.
 */
async function tryApart(prepare: string, dataDir: string): Promise<Trial> {
  const script = `${prepare}
    exec "$2" --input-type=module -e '
      import { execFileSync } from "node:child_process";
      import { readFileSync } from "node:fs";
      const { tryFeatures } = await import(process.argv[1]);
      const state = () => [
        readFileSync("/proc/self/mountinfo", "utf8"),
        execFileSync("ip", ["-o", "link"], { encoding: "utf8" }),
        execFileSync("nft", ["list", "tables"], { encoding: "utf8" }),
      ];
      const before = state();
      const outcomes = [...await tryFeatures(process.argv[2], new AbortController().signal)];
      console.log(JSON.stringify({ before, outcomes, after: state() }));
    ' "$3" "$4"`;
  const shell = ['sh', '-euc', script, 'sh', directory, process.execPath, tryFeaturesModule];
  const argv = ['--mount', '--net', '--', ...shell, path.join(directory, dataDir)];
  const outcome = await runCommand('unshare', argv, signal);
  expect(outcome).toMatchObject({ type: 'succeeded' });
  return JSON.parse(outcome.type === 'succeeded' ? outcome.stdout : '{}') as Trial;
}

interface Trial {
  readonly before: readonly string[];
  readonly outcomes: readonly (readonly [Feature, FeatureOutcome])[];
  readonly after: readonly string[];
}

describe.skipIf(nodeSkipReason() !== undefined)('kernel features', () => {
  test('are tried by using them, and nothing of it stays', async () => {
    const { before, outcomes, after } = await tryApart('', 'not/there');
    expect(outcomes.map(([name]) => name)).toEqual(features);
    // What every node of these tests needs; ipset and vxlan are the kernel's own affair.
    const found = new Map(outcomes);
    for (const name of ['overlay', 'veth', 'bridge', 'nftables', 'conntrack'] as const) {
      expect(found.get(name), name).toEqual({ type: 'works' });
    }
    expect(after).toEqual(before);
    expect(await readdir(directory)).toEqual([]);
  });

  test('overlay fails where the data directory cannot carry it, with what the kernel says', async () => {
    const prepare = `mount -t tmpfs none "$1"; mkdir "$1/lower" "$1/upper" "$1/work" "$1/data"
      mount -t overlay overlay -o "lowerdir=$1/lower,upperdir=$1/upper,workdir=$1/work" "$1/data"`;
    const { outcomes } = await tryApart(prepare, 'data');
    expect(new Map(outcomes).get('overlay')).toEqual({
      type: 'failed',
      message: expect.stringMatching(/mount/),
    });
  });

  test('an interruption ends the trial under way, and cleans up', async () => {
    const abort = new AbortController();
    const tried = tryFeatures(directory, abort.signal);
    abort.abort(new Error('interrupted'));
    await expect(tried).rejects.toThrow('interrupted');
    expect(await readdir(directory)).toEqual([]);
  });
});

test('a port names the process that has it', async () => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const use: PortUse = { port, component: 'etcd' };
  const taken = await examinePorts(await machine({ ports: [use] }));
  await new Promise((resolve) => server.close(resolve));
  expect(taken).toMatchObject([
    { state: 'fail', why: expect.stringMatching(`^port ${port} is in use by pid ${process.pid} `) },
  ]);
});

test('a data directory that is not there yet is judged by its disk, and not made', async () => {
  const verdicts = await examineDataDirectory(await machine());
  expect(verdicts[0]).not.toMatchObject({ state: 'fail' });
  expect(await readdir(directory)).toEqual([]);
});

test('the time of a write is measured on the disk of the data, and nothing stays there', async () => {
  await mkdir(path.join(directory, 'data'));
  const examination = {
    ...(await machine()),
    isRoot: true,
    isRunning: false,
    isNode: false,
    ownPids: new Set<number>(),
    clock: { now: () => 0 },
    releasedAtMs: 0,
    hostRecordFile: '/nowhere',
  };
  const [verdict] = await examineWriteLatency(examination, signal);
  expect(verdict).toMatchObject({
    what: expect.stringMatching(
      /^a write to \/\S+\/data is on the disk after [\d.]+ ms, in the slowest case of \d+ after [\d.]+ ms$/,
    ),
  });
  expect(await readdir(path.join(directory, 'data'))).toEqual([]);
});

test('the page size is what the C library says', async () => {
  const getconf = await runCommand('getconf', ['PAGESIZE'], signal);
  expect(getconf.type).toBe('succeeded');
  const bytes = Number(getconf.type === 'succeeded' ? getconf.stdout : 0);
  expect(await examinePageSize()).toMatchObject([{ what: `${bytes / 1024} KiB` }]);
});
