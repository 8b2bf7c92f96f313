import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { expect, onTestFinished, test } from 'vitest';
import { bundleProgram } from '../../../scripts/build/bundle.ts';
import { makeExecutable } from '../../../scripts/build/executable.ts';
import { HOST_ARCHITECTURE, provideRuntime, runnerFor } from '../../../scripts/build/runtime.ts';

const run = promisify(execFile);
const root = path.resolve(import.meta.dirname, '../../..');

// Collecting on demand is a flag of V8 that the executable has to be built with.
test('an executable made as ours is collects young garbage when a download asks for it', async () => {
  const program = await makeProgram('collect-young');
  const measure = async (env: Readonly<Record<string, string>>) =>
    JSON.parse((await run(program, [], { env })).stdout) as {
      readonly minor: number;
      readonly externalBytes: number;
    };
  const [asked, unasked] = [await measure({}), await measure({ COLLECTS: 'no' })];
  // Every 2 of 64 MiB; V8 alone does it a quarter as often. The last may not be reported any more.
  expect(asked.minor).toBeGreaterThanOrEqual(31);
  expect(asked.minor - unasked.minor).toBeGreaterThanOrEqual(16);
  expect(asked.externalBytes).toBeLessThan(8 * 2 ** 20);
});

// What a node needs for a moment would else stay for ever: what is imported once is.
test('the schema of the configuration and the YAML library go when nobody uses them, and come again', async () => {
  const { stdout } = await run(await makeProgram('let-go'));
  expect(JSON.parse(stdout)).toEqual({
    isGone: { schema: true, yaml: true },
    problems: ['Invalid input: expected number, received string'],
  });
});

/** An executable of a fixture, made as ours is. */
async function makeProgram(name: string): Promise<string> {
  const folder = await mkdtemp(path.join(tmpdir(), 'mini-k8s-executable-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const scratch = path.join(folder, 'scratch');
  await mkdir(scratch);
  const bundle = await bundleProgram(root, '0', `test/fixtures/executable/${name}.ts`);
  const runtime = await provideRuntime(root, HOST_ARCHITECTURE, scratch);
  const output = path.join(folder, 'program');
  const runner = runnerFor(HOST_ARCHITECTURE, runtime);
  makeExecutable({ ...bundle, runtime, runner, scratch, output });
  return output;
}
