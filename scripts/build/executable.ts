import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';

import path from 'node:path';
import { fileURLToPath } from 'node:url';

/**
 * V8 for a small machine. `--max-semi-space-size`, MiB: 4 and 8 made nothing faster in runs that took turns, and cost a
 * tunnel under load 5 to 15 MiB. `--disable-sigusr1`: a root daemon opens no inspector. `--expose-gc`: a node collects
 * garbage itself once it has started. Neither `--optimize-for-size` nor `--no-maglev`: with both, an idle node has 24.0
 * MiB instead of 24.5, but needs 1.5 s of the processor to start instead of 1.3, and one CONNECT of a hundred takes 4.3 ms
 * instead of 1.8, since long compilations get in its way.
 */
export const V8_FLAGS = [
  '--max-semi-space-size=1',
  '--v8-pool-size=1',
  '--disable-sigusr1',
  '--expose-gc',
] as const;

/** Marks the place in Node's executable that says "an application follows". */
const SENTINEL_FUSE = 'NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2';

const BLOB = 'mini-k8s.blob';

export interface ExecutableOptions {
  /** The bundled program. */
  readonly code: Uint8Array;
  /** What it loads by name. */
  readonly chunks?: Readonly<Record<string, Uint8Array>>;
  /** Node's executable of the target architecture. */
  readonly runtime: string;
  /** Command line that runs Node's executable of the target; undefined: made by this Node, without a code cache. */
  readonly runner: readonly string[] | undefined;
  /** An empty directory of this call's own. */
  readonly scratch: string;
  readonly output: string;
}

/**
 * Makes one executable: application blob with V8's code cache, injected into a trimmed Node.
 * @see https://nodejs.org/docs/latest-v24.x/api/single-executable-applications.html
 */
export function makeExecutable(options: ExecutableOptions): void {
  generateBlob(options);
  writeFileSync(options.output, trimElf(readFileSync(options.runtime)), { mode: 0o755 });
  const injector = fileURLToPath(import.meta.resolve('postject/dist/cli.js'));
  const what = [options.output, 'NODE_SEA_BLOB', BLOB, '--sentinel-fuse', SENTINEL_FUSE];
  runQuietly([process.execPath, injector, ...what], options.scratch);
}

function generateBlob(options: ExecutableOptions): void {
  // Relative names, because the blob records them: two directories must give the same bytes.
  writeFileSync(path.join(options.scratch, 'mini-k8s.cjs'), options.code);
  const assets: Record<string, string> = {};
  for (const [name, code] of Object.entries(options.chunks ?? {})) {
    assets[name] = `${name}.cjs`;
    writeFileSync(path.join(options.scratch, `${name}.cjs`), code);
  }
  const config = {
    main: 'mini-k8s.cjs',
    output: BLOB,
    assets,
    disableExperimentalSEAWarning: true,
    useSnapshot: false,
    // Accepted only when made by the same Node for the same architecture with the same flags.
    useCodeCache: options.runner !== undefined,
    execArgv: V8_FLAGS,
    // The host's NODE_OPTIONS must not reach into the program.
    execArgvExtension: 'none',
  };
  writeFileSync(path.join(options.scratch, 'sea.json'), JSON.stringify(config));
  // --random-seed makes the code cache the same every time; --hash-seed would make V8 refuse it.
  const flags = [...V8_FLAGS, '--random-seed=1', '--experimental-sea-config', 'sea.json'];
  runQuietly([...(options.runner ?? [process.execPath]), ...flags], options.scratch);
}

/**
 * Runs a tool that always warns, so that its output is shown only when it fails.
 * @throws Error with the exit code and the output: going on without a blob would make a plain Node.
 */
function runQuietly(commandLine: readonly string[], directory: string): void {
  const [command = '', ...args] = commandLine;
  const result = spawnSync(command, args, {
    cwd: directory,
    encoding: 'utf8',
    env: { PATH: process.env.PATH },
  });
  if (result.status === 0) return;
  const reason = result.error?.message ?? `exit code ${result.status}, signal ${result.signal}`;
  throw new Error(`${commandLine.join(' ')}: ${reason}\n${result.stdout}${result.stderr}`);
}

// Offsets of the ELF-64 header's fields. @see https://refspecs.linuxfoundation.org/elf/gabi4+/ch4.eheader.html
const E_PHOFF = 32;
const E_SHOFF = 40;
const E_PHENTSIZE = 54;
const E_PHNUM = 56;
const E_SHNUM = 60;
const E_SHSTRNDX = 62;

/** Cuts off what no loaded segment needs (symbols, section headers): 18 MB of Node 24, on every architecture. */
export function trimElf(image: Buffer): Buffer {
  if (image.readUInt32BE(0) !== 0x7f454c46 || image[4] !== 2 || image[5] !== 1) {
    throw new Error('not a 64-bit little-endian ELF file');
  }
  const start = Number(image.readBigUInt64LE(E_PHOFF));
  const size = image.readUInt16LE(E_PHENTSIZE);
  const count = image.readUInt16LE(E_PHNUM);
  let end = start + size * count;
  for (let index = 0; index < count; index++) {
    const header = start + index * size;
    const fileOffset = Number(image.readBigUInt64LE(header + 8));
    const fileSize = Number(image.readBigUInt64LE(header + 32));
    end = Math.max(end, fileOffset + fileSize);
  }
  const trimmed = Buffer.from(image.subarray(0, end));
  trimmed.writeBigUInt64LE(0n, E_SHOFF);
  trimmed.writeUInt16LE(0, E_SHNUM);
  trimmed.writeUInt16LE(0, E_SHSTRNDX);
  return trimmed;
}
