import { mkdir, readdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { Architecture } from '../../src/artifacts/types.ts';
import { UserError } from '../../src/base/errors.ts';
import type { StepReporter } from './reporter.ts';
import { lastLines, runCommand } from './run-command.ts';

/** Debian's name for where libraries of an architecture are: `usr/lib/<triplet>`. */
export const triplets: Readonly<Record<Architecture, string>> = {
  amd64: 'x86_64-linux-gnu',
  arm64: 'aarch64-linux-gnu',
};

/** A directory with Debian's files for one architecture: `/` itself, or packages unpacked elsewhere. */
export interface DebianRoot {
  readonly directory: string;
  readonly triplet: string;
  /** `iptables=1.8.9-2`, sorted; for the packages that were asked for. */
  readonly packages: readonly string[];
}

export interface AptOptions {
  readonly reporter: StepReporter;
  readonly signal: AbortSignal;
}

/**
 * Installs on this machine what is missing of these packages, and says so.
 * @throws UserError naming the packages when it may not or cannot.
 */
export async function ensurePackages(
  names: readonly string[],
  { reporter, signal }: AptOptions,
): Promise<readonly string[]> {
  const installed = await installedVersions(names, signal);
  const missing = names.filter((name) => !installed.has(name));
  if (missing.length > 0) {
    requireApt(missing);
    await reporter.step(`apt-get install ${missing.join(' ')}`, async () => {
      await installPackages(missing, signal);
      return '';
    });
  }
  const now = missing.length === 0 ? installed : await installedVersions(names, signal);
  return names.map((name) => `${name}=${now.get(name) ?? 'unknown'}`).sort();
}

async function installedVersions(
  names: readonly string[],
  signal: AbortSignal,
): Promise<ReadonlyMap<string, string>> {
  const format = '$' + '{db:Status-Abbrev} $' + '{Package} $' + '{Version}\n';
  const result = await runCommand('dpkg-query', ['-W', '-f', format, ...names], { signal });
  if (result.errorCode === 'ENOENT') {
    throw new UserError({
      what: 'check for installed packages',
      why: 'this system has no dpkg (it is not Debian or Ubuntu)',
      fix: 'run this script in a Debian container',
    });
  }
  const found = result.stdout.split('\n').map((line) => line.trim().split(/\s+/));
  return new Map(
    found.flatMap(([status, name, version]) =>
      status === 'ii' && name !== undefined && version !== undefined ? [[name, version]] : [],
    ),
  );
}

function requireApt(missing: readonly string[]): void {
  if (process.getuid?.() === 0) return;
  throw new UserError({
    what: `install ${missing.join(', ')}`,
    why: 'installing packages needs root',
    fix: `run: sudo apt-get install -y --no-install-recommends ${missing.join(' ')}`,
  });
}

/** Not cancelled by `signal`: a half-configured package would need repair by hand. */
async function installPackages(names: readonly string[], signal: AbortSignal): Promise<void> {
  const install = () => apt(['install', '-y', '--no-install-recommends', ...names]);
  const first = await install();
  signal.throwIfAborted();
  if (first.exitCode === 0) return;
  // A fresh image has no package lists, an old one lists versions that are gone.
  await apt(['update']);
  const second = await install();
  signal.throwIfAborted();
  if (second.exitCode === 0) return;
  throw new UserError({
    what: `install ${names.join(', ')}`,
    why: `apt-get failed:\n${lastLines(second.stderr || second.stdout, 8)}`,
    fix: 'make the package mirror in /etc/apt reachable, or install them in another way',
  });
}

async function apt(args: readonly string[]) {
  return await runCommand('apt-get', ['-q', ...args], {
    env: { ...definedEnvironment(process.env), DEBIAN_FRONTEND: 'noninteractive' },
  });
}

/**
 * Unpacks these packages of another architecture with everything they depend on into `directory`. apt gets a
 * state of its own there, so that this machine's packages and architectures stay as they are.
 * @throws UserError when the machine's package mirror does not have that architecture.
 */
export async function unpackForeignPackages(
  names: readonly string[],
  options: {
    readonly arch: Architecture;
    readonly directory: string;
    readonly signal: AbortSignal;
  },
): Promise<DebianRoot> {
  const { arch, directory, signal } = options;
  const state = path.join(directory, 'apt');
  const archives = path.join(state, 'cache', 'archives');
  const root = path.join(directory, 'root');
  await mkdir(path.join(archives, 'partial'), { recursive: true });
  await mkdir(path.join(state, 'lists', 'partial'), { recursive: true });
  await mkdir(root, { recursive: true });
  await writeFile(path.join(state, 'status'), '');
  const settings = {
    'APT::Architecture': arch,
    'APT::Architectures': arch,
    'APT::Sandbox::User': 'root',
    'Dir::State::Lists': path.join(state, 'lists'),
    'Dir::State::Status': path.join(state, 'status'),
    'Dir::Cache': path.join(state, 'cache'),
    'Debug::NoLocking': 'true',
  };
  const flags = Object.entries(settings).flatMap(([name, value]) => ['-o', `${name}=${value}`]);
  const steps = [
    ['apt-get', '-q', ...flags, 'update'],
    ['apt-get', '-q', ...flags, 'install', '-y', '--no-install-recommends', '-d', ...names],
  ] as const;
  for (const [program, ...args] of steps) {
    const { exitCode, stderr, stdout } = await runCommand(program, args, { signal });
    if (exitCode === 0) continue;
    throw new UserError({
      what: `get Debian packages for ${arch} (${names.join(', ')})`,
      why: `apt-get failed:\n${lastLines(stderr || stdout, 8)}`,
      fix: `let /etc/apt/sources.list name a mirror that has ${arch} packages`,
    });
  }
  const files = (await readdir(archives)).filter((file) => file.endsWith('.deb')).sort();
  for (const file of files) await unpackPackage(path.join(archives, file), root, signal);
  return { directory: root, triplet: triplets[arch], packages: packageVersions(files, names) };
}

async function unpackPackage(file: string, root: string, signal: AbortSignal): Promise<void> {
  const { exitCode, stderr } = await runCommand('dpkg-deb', ['-x', file, root], { signal });
  if (exitCode !== 0) throw new Error(`dpkg-deb -x ${file} failed: ${stderr}`);
}

/** `iptables_1.8.9-2_arm64.deb` → `iptables=1.8.9-2`, for the packages in `names`. */
export function packageVersions(
  files: readonly string[],
  names: readonly string[],
): readonly string[] {
  return files.flatMap((file) => {
    const [name, version] = file.split('_');
    if (name === undefined || version === undefined || !names.includes(name)) return [];
    return [`${name}=${decodeURIComponent(version)}`];
  });
}

/** An environment without the variables that are not set, as a child process takes it. */
export function definedEnvironment(env: NodeJS.ProcessEnv): Record<string, string> {
  return Object.fromEntries(
    Object.entries(env).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  );
}
