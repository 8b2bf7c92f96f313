import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { runStage, type StageRun } from '../../../scripts/conformance-run/run-stage.ts';
import { planStages } from '../../../scripts/conformance-run/stages.ts';
import { waitFor } from '../../../src/base/time.ts';

test('nothing begins after an abort: nobody would end it', async () => {
  const { run, directory } = await prepare('touch began');
  const signal = AbortSignal.abort(new Error('stopped by SIGINT'));
  await expect(runStage({ ...run, signal })).rejects.toThrow('stopped by SIGINT');
  expect(await readdir(directory)).not.toContain('began');
});

test('an abort ends ginkgo, and what it has started', async () => {
  // Longer than the test may take: the stage is over when the last of them has closed its output.
  const { run, directory } = await prepare('sleep 100 & touch began; wait');
  const abort = new AbortController();
  const ended = expect(runStage({ ...run, signal: abort.signal })).rejects.toThrow('by SIGINT');
  await waitFor(async () => (await readdir(directory)).includes('began'), {
    subject: 'ginkgo to begin',
    timeoutMs: 30_000,
  });
  abort.abort(new Error('stopped by SIGINT'));
  await ended;
});

test('a log that cannot be written is an error of the stage', async () => {
  const { run, directory } = await prepare('exec sleep 100');
  await mkdir(path.join(directory, 'output.log'));
  await expect(runStage(run)).rejects.toThrow('EISDIR');
});

/** A stage whose ginkgo is this shell script. */
async function prepare(script: string): Promise<{ run: StageRun; directory: string }> {
  const folder = await mkdtemp(path.join(tmpdir(), 'mini-k8s-run-stage-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  const ginkgo = path.join(folder, 'ginkgo');
  await writeFile(ginkgo, `#!/bin/sh\n${script}\n`, { mode: 0o755 });
  const directory = path.join(folder, 'parallel');
  await mkdir(directory);
  const [stage] = planStages({ selection: { kind: 'full' }, procs: 1 });
  if (stage === undefined) throw new Error('there is a stage');
  const programs = { ginkgo, e2eTest: ginkgo, kubectl: ginkgo };
  const { signal } = new AbortController();
  const kubeconfig = path.join(folder, 'kubeconfig');
  const run = { stage, programs, kubeconfig, directory, expected: [], say: () => {}, signal };
  return { run, directory };
}
