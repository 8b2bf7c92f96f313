import { createHash } from 'node:crypto';
import { createWriteStream, existsSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { hashFile } from '../../src/artifacts/blobs.ts';
import type { Architecture } from '../../src/artifacts/types.ts';
import { UserError } from '../../src/base/errors.ts';
import { definedEnvironment, ensurePackages } from './debian.ts';
import { hostArchitecture } from './image-files.ts';
import type { StepReporter } from './reporter.ts';
import { runCommand } from './run-command.ts';

/** The Go release that compiles everything. */
export const goVersion = '1.26.8';

/**
 * Go's own hash of the tool chain module (`h1:` in the checksum database), by the architecture it runs on.
 * Needed only where there is no Go yet: Go checks tool chains against the database itself.
 * @see https://go.dev/ref/mod#checksum-database
 */
const toolchainHashes: Readonly<Record<Architecture, string>> = {
  amd64: 'h1:ZOmGe1OnfREDMIdb1Qi4G9JSuDPBLGExZMQ4nis1RXM=',
  arm64: 'h1:sYL/O6MqS68ML0kjsQ36WoYIpJqkw60TxizWUYUKQMc=',
};

/** Since this version Go fetches another version of itself when GOTOOLCHAIN names it. */
const firstSwitchingMinor = 21;

/** A Go that will compile with `goVersion`. */
export interface GoToolchain {
  /** Absolute path, or `go` from PATH. */
  readonly program: string;
  /** Value for GOTOOLCHAIN. */
  readonly toolchain: string;
}

export interface GoToolchainOptions {
  readonly cacheDirectory: string;
  readonly reporter: StepReporter;
  readonly signal: AbortSignal;
}

/**
 * The Go of this machine if it can switch to the pinned version by itself, else the pinned one, which is taken
 * from the module proxy once and kept in the cache.
 * @throws UserError when there is no Go and the proxy does not give one.
 */
export async function ensureGoToolchain(options: GoToolchainOptions): Promise<GoToolchain> {
  for (const program of ['go', '/usr/local/go/bin/go']) {
    if (await canSwitch(program, options.signal)) {
      return { program, toolchain: `go${goVersion}` };
    }
  }
  const directory = path.join(options.cacheDirectory, 'go', `go${goVersion}`);
  const program = path.join(directory, 'bin', 'go');
  if (!existsSync(program)) {
    await options.reporter.step(`Go ${goVersion}`, async () => {
      await fetchToolchain(directory, options);
      return 'this machine has no Go 1.21 or newer';
    });
  }
  return { program, toolchain: 'local' };
}

async function canSwitch(program: string, signal: AbortSignal): Promise<boolean> {
  const env = { ...definedEnvironment(process.env), GOTOOLCHAIN: 'local' };
  const { exitCode, stdout } = await runCommand(program, ['env', 'GOVERSION'], { env, signal });
  return exitCode === 0 && isSwitchingVersion(stdout);
}

/** Whether a version that Go prints (`go1.24.4`) knows GOTOOLCHAIN. */
export function isSwitchingVersion(version: string): boolean {
  const [, major, minor] = /^go(\d+)\.(\d+)/.exec(version.trim()) ?? [];
  if (major === undefined || minor === undefined) return false;
  return Number(major) > 1 || Number(minor) >= firstSwitchingMinor;
}

async function fetchToolchain(directory: string, options: GoToolchainOptions): Promise<void> {
  const { reporter, signal } = options;
  await ensurePackages(['unzip'], { reporter, signal });
  await mkdir(path.dirname(directory), { recursive: true });
  const scratch = await mkdtemp(path.join(path.dirname(directory), '.tmp-'));
  try {
    const archive = path.join(scratch, 'toolchain.zip');
    await download(archive, options);
    await unzip(archive, scratch, signal);
    const module = `golang.org/toolchain@v0.0.1-go${goVersion}.linux-${hostArchitecture()}`;
    const root = path.join(scratch, module);
    await requireHash(root, module);
    await makeRunnable(root);
    await rm(directory, { recursive: true, force: true });
    await rename(root, directory);
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

async function download(archive: string, options: GoToolchainOptions): Promise<void> {
  const { signal } = options;
  const name = `golang.org/toolchain/@v/v0.0.1-go${goVersion}.linux-${hostArchitecture()}.zip`;
  const reasons: string[] = [];
  for (const proxy of parseModuleProxies(await configuredProxy(options))) {
    const url = new URL(`${proxy.replace(/\/$/, '')}/${name}`);
    const { headers, host } = authorization(url);
    try {
      const response = await fetch(url, { headers, signal });
      if (response.ok && response.body !== null) {
        await pipeline(Readable.fromWeb(response.body), createWriteStream(archive), { signal });
        return;
      }
      reasons.push(`${host} answers ${response.status} ${response.statusText}`.trim());
    } catch (error) {
      signal.throwIfAborted();
      reasons.push(`${host}: ${causeOf(error)}`);
    }
  }
  throw new UserError({
    what: `get Go ${goVersion} (golang.org/toolchain) from the module proxy`,
    why: reasons.join('; ') || 'GOPROXY names no proxy',
    fix: 'set GOPROXY to a module proxy that this machine reaches, or install Go 1.21 or newer',
  });
}

/** fetch refuses credentials in an address; they must not get into a message either. */
function authorization(url: URL): { readonly headers: Headers; readonly host: string } {
  const headers = new Headers();
  if (url.username !== '') {
    const text = `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`;
    headers.set('authorization', `Basic ${Buffer.from(text).toString('base64')}`);
    url.username = '';
    url.password = '';
  }
  return { headers, host: url.host };
}

function causeOf(error: unknown): string {
  const cause = error instanceof Error ? (error.cause ?? error) : error;
  return cause instanceof Error ? cause.message : String(cause);
}

/**
 * GOPROXY from the environment, else what a Go says, however old it is: it knows the user's settings and the default.
 * @see https://go.dev/ref/mod#environment-variables
 */
async function configuredProxy({ reporter, signal }: GoToolchainOptions): Promise<string> {
  const fromEnvironment = process.env['GOPROXY'];
  if (fromEnvironment !== undefined && fromEnvironment !== '') return fromEnvironment;
  const ask = () => runCommand('go', ['env', 'GOPROXY'], { signal });
  const first = await ask();
  if (first.exitCode === 0) return first.stdout.trim();
  await ensurePackages(['golang-go'], { reporter, signal });
  return (await ask()).stdout.trim();
}

/** The addresses in a GOPROXY value; `direct` and `off` are no proxies. */
export function parseModuleProxies(value: string): readonly string[] {
  return value
    .split(/[,|]/)
    .map((proxy) => proxy.trim())
    .filter((proxy) => /^https?:\/\//.test(proxy));
}

async function unzip(archive: string, directory: string, signal: AbortSignal): Promise<void> {
  const args = ['-q', archive, '-d', directory];
  const { exitCode, stderr } = await runCommand('unzip', args, { signal });
  if (exitCode === 0) return;
  throw new UserError({ what: `unpack Go ${goVersion}`, why: stderr });
}

async function requireHash(root: string, module: string): Promise<void> {
  const expected = toolchainHashes[hostArchitecture()];
  const actual = await hashModule(root, module);
  if (actual === expected) return;
  throw new UserError({
    what: `use the Go tool chain from the module proxy`,
    why: `${module} has hash ${actual} instead of ${expected}`,
    fix: 'set GOPROXY to another module proxy: this one serves something else',
  });
}

/**
 * Go's `h1:` hash of an unpacked module: the sha256 of a sorted listing of its files' sha256.
 * @see https://go.dev/ref/mod#go-sum-files
 */
export async function hashModule(root: string, module: string): Promise<string> {
  const entries = await readdir(root, { recursive: true, withFileTypes: true });
  const files = entries
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(root, path.join(entry.parentPath, entry.name)));
  // Go sorts by bytes, as the default order of these ASCII names.
  const names = files.map((file) => `${module}/${file}`).sort();
  const listing = createHash('sha256');
  for (const name of names) {
    const { digest } = await hashFile(path.join(root, name.slice(module.length + 1)));
    listing.update(`${digest.slice('sha256:'.length)}  ${name}\n`);
  }
  return `h1:${listing.digest('base64')}`;
}

/** A module archive keeps no modes, and may hold no file named go.mod below its root. */
async function makeRunnable(root: string): Promise<void> {
  for (const directory of ['bin', 'pkg/tool']) {
    const entries = await readdir(path.join(root, directory), {
      recursive: true,
      withFileTypes: true,
    });
    for (const entry of entries) {
      if (entry.isFile()) await chmod(path.join(entry.parentPath, entry.name), 0o755);
    }
  }
  for (const source of ['src', 'src/cmd']) {
    const stored = path.join(root, source, '_go.mod');
    if (existsSync(stored)) await rename(stored, path.join(root, source, 'go.mod'));
  }
}
