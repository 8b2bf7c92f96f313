import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm, stat, truncate } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { makeExecutable, trimElf } from '../../../scripts/build/executable.ts';
import {
  ARCHITECTURES,
  type Architecture,
  HOST_ARCHITECTURE,
  runnerFor,
} from '../../../scripts/build/runtime.ts';
import { writeBundleArchive } from '../../../src/artifacts/layout-tar.ts';
import { makeBundle, temporaryFolder } from '../artifacts/bundle-fixture.ts';

const run = promisify(execFile);
const ROOT = path.resolve(import.meta.dirname, '../../..');
const MAX_SIZE_BYTES = 112_000_000;

let scratch: string;

beforeAll(async () => {
  scratch = await mkdtemp(path.join(tmpdir(), 'mini-k8s-executable-'));
});

afterAll(async () => {
  await rm(scratch, { recursive: true, force: true });
});

describe.each(Object.keys(ARCHITECTURES) as Architecture[])('the executable for %s', (arch) => {
  const file = path.join(ROOT, 'dist', `mini-k8s-linux-${arch}`);

  test('is there and small enough for an SD card', async () => {
    expect(existsSync(file), `${file}: run scripts/node scripts/build.ts`).toBe(true);
    expect((await stat(file)).size).toBeLessThanOrEqual(MAX_SIZE_BYTES);
  });

  test('prints its own version and warns of nothing', async (context) => {
    const runner = runnerFor(arch, file);
    if (runner === undefined) return context.skip(`${ARCHITECTURES[arch].qemu} is not here`);
    const result = await start([...runner, '--version']);
    expect(result.stderr).toBe('');
    expect(result.stdout).toContain(await programVersion());
    expect(result.stdout).not.toContain(process.version);
  });

  test('reads a compressed bundle to its end', async (context) => {
    const runner = runnerFor(arch, file);
    if (runner === undefined) return context.skip(`${ARCHITECTURES[arch].qemu} is not here`);
    const { directory } = await makeBundle(await temporaryFolder(), { arch, image: true });
    const bundle = path.join(scratch, `${arch}.tar.zst`);
    await writeBundleArchive(directory, bundle, { zstdLevel: 3 });
    const { stdout, stderr } = await start([...runner, 'bundle', 'verify', bundle]);
    expect(stderr).toBe('');
    expect(stdout).toMatch(/ is sound: 7 blobs, 0\.3 MB/);
  });

  test("does not listen to the host's NODE_OPTIONS", async (context) => {
    const runner = runnerFor(arch, file);
    if (runner === undefined) return context.skip(`${ARCHITECTURES[arch].qemu} is not here`);
    const options = '--require=/nonexistent.js --max-old-space-size=16';
    const result = await start([...runner, '--version'], { NODE_OPTIONS: options });
    expect(result.stderr).toBe('');
    expect(result.stdout).toContain(await programVersion());
  });
});

test('dist/mini-k8s is the executable of this machine', async () => {
  const [own, named] = await Promise.all(
    ['mini-k8s', `mini-k8s-linux-${HOST_ARCHITECTURE}`].map((name) => hashFile(dist(name))),
  );
  expect(own).toBe(named);
});

test('the licenses of the bundled libraries and of Node.js are beside it', async () => {
  const text = await readFile(dist('THIRD_PARTY_LICENSES'), 'utf8');
  expect(text).toMatch(/^node-linux-\w+ 24\./m);
  expect(text).toMatch(/^zod /m);
});

test('the same source gives the same bytes', async () => {
  const hashes: string[] = [];
  for (const name of ['first', 'second']) {
    const output = path.join(scratch, name);
    await buildInto(output);
    hashes.push(await hashFile(path.join(output, 'mini-k8s')));
    await rm(output, { recursive: true });
  }
  expect(hashes[0]).toBe(hashes[1]);
}, 600_000);

test('a second build does nothing, and one after a damage repairs it', async () => {
  const output = path.join(scratch, 'again');
  await buildInto(output);
  const file = path.join(output, `mini-k8s-linux-${HOST_ARCHITECTURE}`);
  const good = await hashFile(file);
  expect(await buildInto(output)).toContain('is up to date');
  await truncate(file, (await stat(file)).size - 1);
  expect(await buildInto(output)).not.toContain('is up to date');
  expect(await hashFile(file)).toBe(good);
}, 600_000);

describe('makeExecutable', () => {
  test('stops when the generator fails, and leaves no plain Node behind', () => {
    const output = path.join(scratch, 'broken');
    const options = { code: Buffer.from(''), runtime: process.execPath, scratch, output };
    expect(() => makeExecutable({ ...options, runner: ['/bin/false'] })).toThrow('exit code 1');
    expect(existsSync(output)).toBe(false);
  });
});

describe('trimElf', () => {
  test('refuses what is no 64-bit ELF file', () => {
    expect(() => trimElf(Buffer.alloc(100))).toThrow('not a 64-bit little-endian ELF file');
  });
});

function dist(name: string): string {
  return path.join(ROOT, 'dist', name);
}

async function buildInto(output: string): Promise<string> {
  const script = path.join(ROOT, 'scripts/build.ts');
  const { stdout } = await run(process.execPath, [script, '--host-only', '--output', output]);
  return stdout;
}

async function start(commandLine: readonly string[], env: NodeJS.ProcessEnv = {}) {
  const [command = '', ...args] = commandLine;
  return await run(command, args, { env: { PATH: process.env.PATH, ...env } });
}

async function programVersion(): Promise<string> {
  const text = await readFile(path.join(ROOT, 'package.json'), 'utf8');
  return (JSON.parse(text) as { readonly version: string }).version;
}

async function hashFile(file: string): Promise<string> {
  return createHash('sha256')
    .update(await readFile(file))
    .digest('hex');
}
