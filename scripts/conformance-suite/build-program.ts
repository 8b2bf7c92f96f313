import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { hashFile } from '../../src/artifacts/blobs.ts';
import { throwCollected, UserError } from '../../src/base/errors.ts';
import {
  type CacheKey,
  createEntry,
  entryDirectory,
  hasEntry,
  readRecord,
} from '../components/component-cache.ts';
import { goEnvironment, readModuleFiles } from '../components/go-build.ts';
import { explainGoFailure } from '../components/go-failure.ts';
import { goVersion } from '../components/go-toolchain.ts';
import { findPinConflicts, parseGoMod } from '../components/pins.ts';
import { goBuildArguments, shortHash } from '../components/recipe-hash.ts';
import { formatBytes } from '../components/reporter.ts';
import { runCommand } from '../components/run-command.ts';
import type { SuiteContext } from './suite-context.ts';
import { type SuiteModule, type SuiteProgram, suiteModules } from './suite-programs.ts';

/** A program of the suite on this machine. */
export interface BuiltProgram {
  readonly name: SuiteProgram['name'];
  readonly file: string;
  /** `sha256:…` of it. */
  readonly digest: string;
}

interface ProgramRecord {
  readonly digest: string;
  readonly size: number;
}

/**
 * Builds a program of the suite, or takes it from the cache.
 * @throws UserError that names the module or tool that is to blame.
 */
export async function provideProgram(
  program: SuiteProgram,
  context: SuiteContext,
): Promise<BuiltProgram> {
  const { cache, reporter } = context;
  const key = await programKey(program, context);
  const title = `${program.name} ${program.version}`;
  if (hasEntry(cache, key)) reporter.cached(title);
  else {
    // First, so that its installation is a line of its own.
    await context.ensureGo();
    await reporter.step(title, async () => {
      await createEntry(cache, key, (directory) => buildProgram(program, directory, context));
      return formatBytes((await readRecord<ProgramRecord>(cache, key)).size);
    });
  }
  const { digest } = await readRecord<ProgramRecord>(cache, key);
  return { name: program.name, file: path.join(entryDirectory(cache, key), program.name), digest };
}

async function programKey(program: SuiteProgram, { arch }: SuiteContext): Promise<CacheKey> {
  const files = await readModuleFiles(moduleDirectory(program.module));
  requirePin(program.module, files['go.mod']);
  const { package: packagePath, verb, version } = program;
  const settings = goBuildArguments(program, version);
  return {
    name: `conformance-${program.name}`,
    hash: shortHash({ package: packagePath, verb, version, settings, arch, goVersion, files }),
  };
}

function requirePin(name: SuiteModule, goMod: string): void {
  const directory = `scripts/conformance-suite/${name}`;
  const wrapped = { ...suiteModules[name], name, directory };
  throwCollected(findPinConflicts(wrapped, wrapped.version, parseGoMod(goMod)));
}

async function buildProgram(
  program: SuiteProgram,
  directory: string,
  context: SuiteContext,
): Promise<ProgramRecord> {
  const { arch, jobs, signal } = context;
  await mkdir(directory, { recursive: true });
  const file = path.join(directory, program.name);
  const go = await context.ensureGo();
  const args = [
    ...(program.verb === 'test' ? ['test', '-c'] : ['build']),
    ...['-p', String(jobs), ...goBuildArguments(program, program.version)],
    ...['-o', file, program.package],
  ];
  const { exitCode, stderr, errorCode } = await runCommand(go.program, args, {
    cwd: moduleDirectory(program.module),
    env: goEnvironment({ arch, go, isCgo: false }),
    signal,
  });
  if (exitCode !== 0) throw explainGoFailure(program.name, stderr || `${errorCode ?? ''}`);
  await requireVersion(program, file, signal);
  return await hashFile(file, signal);
}

async function requireVersion(
  { name, version, versionArgs }: SuiteProgram,
  file: string,
  signal: AbortSignal,
): Promise<void> {
  if (versionArgs === undefined) return;
  const { exitCode, stdout, stderr } = await runCommand(file, versionArgs, { signal });
  const said = `${stdout}\n${stderr}`;
  if (exitCode === 0 && said.includes(version)) return;
  throw new UserError({
    what: `use the ${name} that was built`,
    why: `"${name} ${versionArgs.join(' ')}" exits with ${exitCode ?? 'a signal'} and does not say ${version}: ${said.trim().slice(0, 200)}`,
  });
}

/**
 * Where the module of Kubernetes is, unpacked: images get files of it.
 * @throws UserErrors when the wrapper pins another version of it than the components have.
 */
export async function upstreamDirectory(context: SuiteContext): Promise<string> {
  requirePin('e2e', (await readModuleFiles(moduleDirectory('e2e')))['go.mod']);
  const go = await context.ensureGo();
  const { module } = suiteModules.e2e;
  // Not from the module graph alone: this also fetches what is not in the module cache.
  const args = ['mod', 'download', '-json', module];
  const { exitCode, stdout, stderr } = await runCommand(go.program, args, {
    cwd: moduleDirectory('e2e'),
    env: goEnvironment({ arch: context.arch, go, isCgo: false }),
    signal: context.signal,
  });
  if (exitCode !== 0) throw explainGoFailure(`images from ${module}`, stderr || stdout);
  const { Dir: directory } = JSON.parse(stdout) as { readonly Dir: string };
  return directory;
}

function moduleDirectory(name: SuiteModule): string {
  return path.join(import.meta.dirname, name);
}
