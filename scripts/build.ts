// Makes dist/mini-k8s-linux-{amd64,arm64} and dist/mini-k8s (this machine's). Same input, same bytes.
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { type Bundle, bundleProgram, collectLicenses } from './build/bundle.ts';
import { makeExecutable } from './build/executable.ts';
import {
  ARCHITECTURES,
  type Architecture,
  HOST_ARCHITECTURE,
  provideRuntime,
  readRuntimePin,
  runnerFor,
} from './build/runtime.ts';

const USAGE = `Usage: scripts/node scripts/build.ts [--host-only] [--force] [--output DIR]

  --host-only   only the executable for this machine (quick, for development)
  --force       build even when nothing has changed
  --output DIR  instead of dist/
`;

interface Job {
  readonly root: string;
  readonly version: string;
  readonly bundle: Bundle;
  readonly outputDirectory: string;
  readonly scratch: string;
  readonly isForced: boolean;
}

try {
  await main();
} catch (error) {
  console.error(`Cannot build mini-k8s: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      'host-only': { type: 'boolean', default: false },
      force: { type: 'boolean', default: false },
      output: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return console.log(USAGE);
  const root = path.resolve(import.meta.dirname, '..');
  requirePinnedNode(root);
  const outputDirectory = path.resolve(values.output ?? path.join(root, 'dist'));
  mkdirSync(outputDirectory, { recursive: true });
  const scratch = makeScratch(outputDirectory);
  try {
    const version = readVersion(root);
    const bundle = await bundleProgram(root, version);
    const chunks = Object.entries(bundle.chunks).map(
      ([name, c]) => `, ${name} ${kilobytes(c.length)} kB`,
    );
    console.log(`bundle ${kilobytes(bundle.code.length)} kB${chunks.join('')}, version ${version}`);
    const isForced = values.force;
    const job = { root, version, bundle, outputDirectory, scratch, isForced };
    const all = Object.keys(ARCHITECTURES) as Architecture[];
    for (const arch of values['host-only'] ? [HOST_ARCHITECTURE] : all) await buildOne(job, arch);
    linkHostExecutable(job);
    writeLicenses(job);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** A directory of this process on the file system of the output; those of builds that were killed are removed. */
function makeScratch(outputDirectory: string): string {
  for (const name of readdirSync(outputDirectory)) {
    const pid = /^\.build-(\d+)$/.exec(name)?.[1];
    if (pid === undefined || existsSync(`/proc/${pid}`)) continue;
    rmSync(path.join(outputDirectory, name), { recursive: true, force: true });
  }
  const scratch = path.join(outputDirectory, `.build-${process.pid}`);
  mkdirSync(scratch);
  return scratch;
}

/** The blob and the code cache are made by the Node that runs this script. */
function requirePinnedNode(root: string): void {
  const pinned = `v${readRuntimePin(root, HOST_ARCHITECTURE).version}`;
  if (process.version !== pinned) {
    throw new Error(
      `Node ${process.version} runs the build, ${pinned} is pinned: use scripts/node scripts/build.ts`,
    );
  }
}

function readVersion(root: string): string {
  const manifest = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as {
    readonly version: string;
  };
  return manifest.version;
}

async function buildOne(job: Job, arch: Architecture): Promise<void> {
  const started = performance.now();
  const name = `mini-k8s-linux-${arch}`;
  const output = path.join(job.outputDirectory, name);
  const recipe = recipeHash(job, arch);
  if (!job.isForced && isCurrent(output, recipe)) return console.log(`${name} is up to date`);

  const scratch = path.join(job.scratch, arch);
  mkdirSync(scratch);
  const runtime = await provideRuntime(job.root, arch, scratch);
  const runner = runnerFor(arch, runtime);
  const temporary = path.join(scratch, name);
  makeExecutable({
    code: job.bundle.code,
    chunks: job.bundle.chunks,
    runtime,
    runner,
    scratch,
    output: temporary,
  });
  const startMs = smokeTest(temporary, arch, job.version);
  const sha256 = hashFile(temporary);
  // A rename replaces an executable that is running; writing into it would fail.
  renameSync(temporary, output);
  writeFileSync(stampFile(output), JSON.stringify({ recipe, sha256 }));
  const megabytes = (statSync(output).size / 1e6).toFixed(1);
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  const smoke = startMs === undefined ? 'not tried' : `--version in ${Math.round(startMs)} ms`;
  console.log(
    `${name} ${megabytes} MB, built in ${seconds} s, ${smoke}\n  sha256 ${sha256}${cacheNote(arch, runner)}`,
  );
}

function cacheNote(arch: Architecture, runner: readonly string[] | undefined): string {
  if (runner !== undefined) return '';
  return `\n  without code cache and smoke test: ${ARCHITECTURES[arch].qemu} or ${ARCHITECTURES[arch].sysroot} is missing (packages qemu-user-static, libstdc++6-${arch}-cross)`;
}

/** Everything that decides the bytes of one executable. */
function recipeHash(job: Job, arch: Architecture): string {
  const hash = createHash('sha256').update(job.bundle.code);
  for (const [name, code] of Object.entries(job.bundle.chunks)) hash.update(name).update(code);
  const directory = path.join(job.root, 'scripts', 'build');
  for (const name of readdirSync(directory).sort()) {
    hash.update(readFileSync(path.join(directory, name)));
  }
  hash.update(readRuntimePin(job.root, arch).integrity);
  hash.update(String(runnerFor(arch, '') !== undefined));
  return hash.digest('hex');
}

function stampFile(output: string): string {
  return path.join(path.dirname(output), `.${path.basename(output)}.json`);
}

function isCurrent(output: string, recipe: string): boolean {
  try {
    const stamp = JSON.parse(readFileSync(stampFile(output), 'utf8')) as {
      readonly recipe?: string;
      readonly sha256?: string;
    };
    return stamp.recipe === recipe && stamp.sha256 === hashFile(output);
  } catch {
    // No stamp, no executable, or half of one: all mean "build it".
    return false;
  }
}

function hashFile(file: string): string {
  return createHash('sha256').update(readFileSync(file)).digest('hex');
}

/**
 * Best of five starts in milliseconds; undefined when this machine cannot run the architecture.
 * @throws Error when it is not our program: Node without its blob answers `--version` too, with its own.
 */
function smokeTest(executable: string, arch: Architecture, version: string): number | undefined {
  const runner = runnerFor(arch, executable);
  const [command, ...args] = runner ?? [];
  if (command === undefined) return undefined;
  const times = [1, 2, 3, 4, 5].map(() => {
    const started = performance.now();
    const stdout = execFileSync(command, [...args, '--version'], { encoding: 'utf8' });
    if (!stdout.includes(version) || stdout.includes(process.version)) {
      throw new Error(`${executable} --version printed ${JSON.stringify(stdout)}, not ${version}`);
    }
    return performance.now() - started;
  });
  return Math.min(...times);
}

function linkHostExecutable(job: Job): void {
  const temporary = path.join(job.scratch, 'mini-k8s');
  linkSync(path.join(job.outputDirectory, `mini-k8s-linux-${HOST_ARCHITECTURE}`), temporary);
  renameSync(temporary, path.join(job.outputDirectory, 'mini-k8s'));
}

function writeLicenses(job: Job): void {
  const runtime = `node_modules/${readRuntimePin(job.root, HOST_ARCHITECTURE).name}`;
  const text = collectLicenses(job.root, [...job.bundle.packages, runtime]);
  const temporary = path.join(job.scratch, 'licenses');
  writeFileSync(temporary, text);
  renameSync(temporary, path.join(job.outputDirectory, 'THIRD_PARTY_LICENSES'));
}

function kilobytes(bytes: number): string {
  return (bytes / 1000).toFixed(0);
}
