import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rename, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import path from 'node:path';
import { definedEnvironment } from '../../../scripts/components/debian.ts';
import { ensureGoToolchain, goVersion } from '../../../scripts/components/go-toolchain.ts';
import { createStepReporter } from '../../../scripts/components/reporter.ts';
import { runCommand } from '../../../scripts/components/run-command.ts';

/**
 * Absolute path of the executable of a Go program under `test/support/go/`, built with the Go that builds the
 * components: its `main.go`, or `mainPackage` of a module that its `go.mod` names. It stays in the cache until its
 * sources change.
 * @throws Error with what the compiler said.
 */
export async function buildGoProgram(
  name: string,
  signal: AbortSignal,
  mainPackage = '.',
): Promise<string> {
  const directory = path.join(import.meta.dirname, name);
  const hash = createHash('sha256').update(goVersion).update(mainPackage);
  const sources = ['go.mod', 'go.sum', ...(mainPackage === '.' ? ['main.go'] : [])];
  for (const file of sources) hash.update(await readFile(path.join(directory, file)));
  const cache = process.env['XDG_CACHE_HOME'] ?? path.join(homedir(), '.cache');
  const programs = path.join(cache, 'mini-k8s', 'test-programs');
  const program = path.join(programs, `${name}-${hash.digest('hex').slice(0, 12)}`);
  if (existsSync(program)) return program;
  await mkdir(programs, { recursive: true });
  const scratch = await mkdtemp(path.join(programs, '.tmp-'));
  try {
    const output = path.join(scratch, name);
    const cacheDirectory = path.join(cache, 'mini-k8s');
    await compile({ directory, output, mainPackage, cacheDirectory, signal });
    await rename(output, program);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
  return program;
}

interface Compilation {
  readonly directory: string;
  readonly output: string;
  readonly mainPackage: string;
  readonly cacheDirectory: string;
  readonly signal: AbortSignal;
}

async function compile(compilation: Compilation): Promise<void> {
  const { directory, output, mainPackage, cacheDirectory, signal } = compilation;
  const reporter = createStepReporter({ stream: process.stderr, now: () => performance.now() });
  const go = await ensureGoToolchain({ cacheDirectory, reporter, signal });
  const env = {
    ...definedEnvironment(process.env),
    GOTOOLCHAIN: go.toolchain,
    GOFLAGS: '-mod=readonly -trimpath -buildvcs=false',
    GOWORK: 'off',
    CGO_ENABLED: '0',
  };
  const args = ['build', '-o', output, mainPackage];
  const { exitCode, stderr } = await runCommand(go.program, args, { cwd: directory, env, signal });
  if (exitCode !== 0) throw new Error(`go build in ${directory} failed:\n${stderr}`);
}
