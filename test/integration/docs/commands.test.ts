import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { blocksFor, ROOT } from '../../support/docs/pages.ts';
import { runBlocks } from '../../support/docs/run-blocks.ts';
import type { CommandResult } from '../../support/node/types.ts';

// What pages show that needs no cluster, run as it stands there; each page has a directory and a home of its own.
let directory: string;
let bin: string;

beforeAll(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'mini-k8s-docs-'));
  bin = path.join(directory, 'bin');
  await mkdir(bin);
  const script = `#!/bin/sh\nexec '${process.execPath}' '${ROOT}/src/main.ts' "$@"\n`;
  await writeFile(path.join(bin, 'mini-k8s'), script, { mode: 0o755 });
});
afterAll(() => rm(directory, { recursive: true, force: true }));

test.each([...blocksFor('none')])('the commands of %s work', async (file, blocks) => {
  const home = path.join(directory, path.basename(file, '.md'));
  await mkdir(home);
  await runBlocks(blocks, (script) => runScript(script, home));
});

test('a command that fails is shown with its place', async () => {
  const block = { file: 'p.md', line: 7, language: 'sh', tags: new Map() };
  const blocks = [
    { ...block, text: 'mini-k8s version | grep -q kubernetes\nmini-k8s status -o xml\ntrue' },
  ];
  await expect(runBlocks(blocks, (script) => runScript(script, directory))).rejects.toThrow(
    /^p\.md:7 ended with exit code 1:[\s\S]*the formats are text, json and yaml/,
  );
  const piped = [{ ...block, text: 'false | true' }];
  const failure = runBlocks(piped, (script) => runScript(script, directory));
  await expect(failure).rejects.toThrow('p.md:7');
});

async function runScript(script: string, home: string): Promise<CommandResult> {
  const {
    exitCode = -1,
    stdout,
    stderr,
  } = await execa('bash', ['-c', script], {
    cwd: home,
    env: { HOME: home, PATH: `${bin}:${process.env['PATH'] ?? ''}` },
    extendEnv: false,
    reject: false,
    stdin: 'ignore',
    timeout: 120_000,
  });
  return { exitCode, stdout, stderr };
}
