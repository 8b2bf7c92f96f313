import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { hashFile } from '../../src/artifacts/blobs.ts';
import { UserError } from '../../src/base/errors.ts';
import {
  createEntry,
  entryDirectory,
  hasEntry,
  readRecord,
} from '../components/component-cache.ts';
import { definedEnvironment, ensurePackages } from '../components/debian.ts';
import { shortHash } from '../components/recipe-hash.ts';
import { formatBytes } from '../components/reporter.ts';
import { lastLines, runCommand } from '../components/run-command.ts';
import { type DebianSource, fetchDebianSource } from './debian-source.ts';
import type { SuiteContext } from './suite-context.ts';

/**
 * Debian's source package, of which only upstream's archive is used: Debian's own build has a shell that prefers
 * its applets to what is in PATH and drops variables with a dash in their names, and tests see both.
 */
const source = {
  suite: 'trixie',
  package: 'busybox',
  archive: 'busybox_1.37.0.orig.tar.bz2',
  sha256: '3311dff32e746499f4df0d5df04d7eb396382d7e108bb9250e7b519b837043a4',
} as const satisfies DebianSource;

const version = '1.37.0';

/** Changes to upstream's default configuration. */
const settings: Readonly<Record<string, string>> = {
  CONFIG_STATIC: 'y',
  // Does not compile with the headers of Linux 6.8 and later.
  CONFIG_TC: 'n',
  // Does not compile for anything but x86.
  CONFIG_SHA1_HWACCEL: 'n',
};

/** Replaces the time of the build, which the program would say: the same source gives the same bytes. */
const environment = { LC_ALL: 'C', SOURCE_DATE_EPOCH: '0' } as const;

export interface BuiltBusybox {
  readonly file: string;
  readonly digest: string;
  /** Names under which it runs. */
  readonly applets: readonly string[];
}

interface BusyboxRecord {
  readonly digest: string;
  readonly size: number;
  readonly applets: readonly string[];
}

/** Builds busybox as its authors configure it, or takes it from the cache. */
export async function provideBusybox(context: SuiteContext): Promise<BuiltBusybox> {
  const { arch, cache, reporter, signal } = context;
  const key = {
    name: 'conformance-busybox',
    hash: shortHash({ sha256: source.sha256, settings, environment, arch }),
  };
  const title = `busybox ${version}`;
  if (hasEntry(cache, key)) reporter.cached(title);
  else {
    await ensurePackages(['gcc', 'libc6-dev', 'make', 'bzip2'], { reporter, signal });
    await reporter.step(title, async () => {
      await createEntry(cache, key, (directory) => buildBusybox(directory, context));
      return formatBytes((await readRecord<BusyboxRecord>(cache, key)).size);
    });
  }
  const { digest, applets } = await readRecord<BusyboxRecord>(cache, key);
  return { file: path.join(entryDirectory(cache, key), 'busybox'), digest, applets };
}

async function buildBusybox(directory: string, context: SuiteContext): Promise<BusyboxRecord> {
  const scratch = path.join(context.scratchDirectory, 'busybox');
  const tree = path.join(scratch, 'tree');
  await mkdir(tree, { recursive: true });
  const archive = await fetchDebianSource(source, { directory: scratch, signal: context.signal });
  await run(['tar', '-xjf', archive, '-C', tree, '--strip-components=1'], tree, context);
  await run(['make', 'defconfig'], tree, context);
  const config = path.join(tree, '.config');
  await writeFile(config, configure(await readFile(config, 'utf8')));
  await run(['make', `-j${context.jobs}`, 'busybox'], tree, context);
  const file = path.join(directory, 'busybox');
  await copyFile(path.join(tree, 'busybox'), file);
  const applets = (await run([file, '--list'], tree, context)).split('\n');
  return { ...(await hashFile(file, context.signal)), applets };
}

/** A `.config` with `settings` in the place of the lines that are there. */
export function configure(text: string): string {
  const entries = Object.entries(settings).map(([name, value]) =>
    value === 'n' ? `# ${name} is not set` : `${name}=${value}`,
  );
  const isReplaced = (line: string) =>
    Object.keys(settings).some(
      (name) => line.startsWith(`${name}=`) || line === `# ${name} is not set`,
    );
  const kept = text.split('\n').filter((line) => !isReplaced(line));
  return `${kept.join('\n').trimEnd()}\n${entries.join('\n')}\n`;
}

async function run(
  [program, ...args]: readonly [string, ...string[]],
  cwd: string,
  { signal }: SuiteContext,
): Promise<string> {
  const { exitCode, stdout, stderr, errorCode } = await runCommand(program, args, {
    ...{ cwd, signal },
    env: { ...definedEnvironment(process.env), ...environment },
  });
  if (exitCode === 0) return stdout;
  throw new UserError({
    what: 'build busybox',
    why: `${program} ${errorCode ?? `exits with ${exitCode ?? 'a signal'}`}:\n${lastLines(stderr || stdout, 10)}`,
    fix: `install ${program}, or mend what it complains about`,
  });
}
