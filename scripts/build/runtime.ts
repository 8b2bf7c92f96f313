import { execFileSync, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { homedir } from 'node:os';
import path from 'node:path';
import { extract } from 'tar';

/** The words of `uname -m`'s cousins: Go's and Debian's name, Node's, and what QEMU's user mode needs. */
export const ARCHITECTURES = {
  amd64: { node: 'x64', qemu: 'qemu-x86_64-static', sysroot: '/usr/x86_64-linux-gnu' },
  arm64: { node: 'arm64', qemu: 'qemu-aarch64-static', sysroot: '/usr/aarch64-linux-gnu' },
} as const;

export type Architecture = keyof typeof ARCHITECTURES;

export const HOST_ARCHITECTURE: Architecture = process.arch === 'arm64' ? 'arm64' : 'amd64';

/** Node's package for one architecture, as package-lock.json pins it. */
export interface RuntimePin {
  readonly name: string;
  readonly version: string;
  /** `sha512-<base64>` of the package's archive. */
  readonly integrity: string;
}

interface PackageLock {
  readonly packages: Readonly<
    Record<string, { readonly version: string; readonly integrity: string } | undefined>
  >;
}

export function readRuntimePin(root: string, arch: Architecture): RuntimePin {
  const name = `node-linux-${ARCHITECTURES[arch].node}`;
  const lock = JSON.parse(
    readFileSync(path.join(root, 'package-lock.json'), 'utf8'),
  ) as PackageLock;
  const entry = lock.packages[`node_modules/${name}`];
  if (entry === undefined) throw new Error(`package-lock.json does not pin ${name}`);
  return { name, version: entry.version, integrity: entry.integrity };
}

/**
 * Path of the pinned Node executable for `arch`: npm's own for the host (npm verified it), else unpacked into
 * `scratch` from the package's archive, which is fetched once and verified against the pin at every use.
 */
export async function provideRuntime(
  root: string,
  arch: Architecture,
  scratch: string,
): Promise<string> {
  const pin = readRuntimePin(root, arch);
  if (arch === HOST_ARCHITECTURE) return process.execPath;
  const archive = cachedArchive(pin);
  if (!existsSync(archive)) fetchArchive(pin, archive);
  verifyIntegrity(archive, pin);
  const target = path.join(scratch, pin.name);
  mkdirSync(target, { recursive: true });
  await extract({ file: archive, cwd: target, strip: 1 }, ['package/bin/node']);
  return path.join(target, 'bin', 'node');
}

function cachedArchive(pin: RuntimePin): string {
  const cache = process.env.XDG_CACHE_HOME ?? path.join(homedir(), '.cache');
  return path.join(cache, 'mini-k8s', 'node', `${pin.name}-${pin.version}.tgz`);
}

function fetchArchive(pin: RuntimePin, archive: string): void {
  console.log(`  fetching ${pin.name} ${pin.version} with npm pack`);
  const directory = path.dirname(archive);
  mkdirSync(directory, { recursive: true });
  const scratch = mkdtempSync(path.join(directory, '.fetch-'));
  try {
    execFileSync(
      'npm',
      ['pack', `${pin.name}@${pin.version}`, '--pack-destination', scratch, '--silent'],
      { stdio: ['ignore', 'ignore', 'inherit'], cwd: scratch },
    );
    const fetched = path.join(scratch, `${pin.name}-${pin.version}.tgz`);
    verifyIntegrity(fetched, pin);
    renameSync(fetched, archive);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

function verifyIntegrity(archive: string, pin: RuntimePin): void {
  const actual = `sha512-${createHash('sha512').update(readFileSync(archive)).digest('base64')}`;
  if (actual === pin.integrity) return;
  rmSync(archive, { force: true });
  throw new Error(
    `${archive} is ${actual}, but package-lock.json pins ${pin.integrity}: removed, build again`,
  );
}

/** The command line that runs an executable of `arch` on this machine; undefined when QEMU's user mode is missing. */
export function runnerFor(arch: Architecture, executable: string): string[] | undefined {
  if (arch === HOST_ARCHITECTURE) return [executable];
  const { qemu, sysroot } = ARCHITECTURES[arch];
  if (!existsSync(sysroot) || spawnSync(qemu, ['--version']).status !== 0) return undefined;
  return [qemu, '-L', sysroot, executable];
}
