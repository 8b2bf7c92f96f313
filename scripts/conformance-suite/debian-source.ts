import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { hashFile } from '../../src/artifacts/blobs.ts';
import { errorCode, UserError } from '../../src/base/errors.ts';
import { definedEnvironment } from '../components/debian.ts';
import { type CommandResult, lastLines, runCommand } from '../components/run-command.ts';

/** One archive of one of Debian's source packages. */
export interface DebianSource {
  /** Of Debian, whichever suites the machine itself has: `trixie`. */
  readonly suite: string;
  readonly package: string;
  /** Has upstream's version in its name: Debian's own revisions of a package come and go with its updates. */
  readonly archive: string;
  readonly sha256: string;
}

interface FetchOptions {
  /** Of its own: for the archive, and for what apt keeps. */
  readonly directory: string;
  readonly signal: AbortSignal;
}

/** On Debian; elsewhere it is in the package debian-archive-keyring. */
const keyring = '/usr/share/keyrings/debian-archive-keyring.gpg';

/**
 * Fetches an archive from the mirror of Debian that this machine's apt is configured with, and returns its path. apt
 * gets a state of its own, so that the machine's package lists stay as they are.
 * @throws UserError that says which mirror was asked.
 */
export async function fetchDebianSource(
  source: DebianSource,
  { directory, signal }: FetchOptions,
): Promise<string> {
  const state = path.join(directory, 'apt');
  await mkdir(path.join(state, 'lists', 'partial'), { recursive: true });
  await mkdir(path.join(state, 'cache', 'archives', 'partial'), { recursive: true });
  await writeFile(path.join(state, 'status'), '');
  const apt = (settings: Readonly<Record<string, string>>, args: readonly string[]) =>
    runApt([...flagsOf({ ...stateSettings(state), ...settings }), ...args], directory, signal);

  // A repository says whose it is in what an update fetches. Only that counts: one broken source of many is no matter.
  const first = await apt({}, ['update']);
  const targets = await apt({}, ['indextargets', '--format', targetFormat]);
  const mirrors = debianMirrors(targets.stdout);
  if (mirrors.length === 0) throw noMirror(source, [first, targets]);

  const list = path.join(state, 'sources.list');
  const lines = mirrors.map((uri) => `deb-src [signed-by=${keyring}] ${uri} ${source.suite} main`);
  await writeFile(list, `${lines.join('\n')}\n`);
  const sources = { 'Dir::Etc::SourceList': list, 'Dir::Etc::SourceParts': '/dev/null' };
  const update = await apt(sources, ['update']);
  const download = ['source', '--download-only', '--only-source', source.package];
  const fetched = await apt(sources, download);
  if (fetched.exitCode !== 0) throw notFetched(source, mirrors, [update, fetched]);
  const archive = path.join(directory, source.archive);
  await requireContent(source, archive, mirrors);
  return archive;
}

/** What `debianMirrors` reads. @see https://manpages.debian.org/apt-get.8: FORMAT of indextargets */
const targetFormat = ['ORIGIN', 'LABEL', 'REPO_URI'].map((name) => `$(${name})`).join('\t');

/**
 * URIs of the repositories that have Debian's releases, each once: `label` is another for its security updates,
 * which have no other suites.
 */
export function debianMirrors(targets: string): readonly string[] {
  const rows = targets.split('\n').map((line) => line.split('\t'));
  const uris = rows.flatMap(([origin, label, uri]) =>
    origin === 'Debian' && label === 'Debian' && uri !== undefined ? [uri] : [],
  );
  return [...new Set(uris)];
}

function stateSettings(state: string): Readonly<Record<string, string>> {
  return {
    'APT::Sandbox::User': 'root',
    'Dir::State::Lists': path.join(state, 'lists'),
    'Dir::State::Status': path.join(state, 'status'),
    'Dir::Cache': path.join(state, 'cache'),
    'Debug::NoLocking': 'true',
  };
}

function flagsOf(settings: Readonly<Record<string, string>>): readonly string[] {
  return Object.entries(settings).flatMap(([name, value]) => ['-o', `${name}=${value}`]);
}

async function runApt(
  args: readonly string[],
  cwd: string,
  signal: AbortSignal,
): Promise<CommandResult> {
  return await runCommand('apt-get', ['-q', ...args], {
    ...{ cwd, signal },
    env: { ...definedEnvironment(process.env), LC_ALL: 'C', DEBIAN_FRONTEND: 'noninteractive' },
  });
}

async function requireContent(
  source: DebianSource,
  file: string,
  mirrors: readonly string[],
): Promise<void> {
  const found = await hashFile(file).catch((error: unknown) => {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw error;
  });
  if (found?.digest === `sha256:${source.sha256}`) return;
  throw new UserError({
    what: `get the source of ${source.package}`,
    why:
      found === undefined
        ? `${shown(mirrors)} has another version of it: no ${source.archive}`
        : `${source.archive} of ${shown(mirrors)} has ${found.digest} instead of sha256:${source.sha256}`,
    fix: 'let apt use a mirror that has the files that Debian has',
  });
}

function noMirror({ package: name, suite }: DebianSource, results: Results): UserError {
  return new UserError({
    what: `get the source of ${name}`,
    why: `no repository of Debian is among apt's sources on this machine that can be reached${said(results)}`,
    fix: `add a mirror of Debian to /etc/apt, of any suite: ${suite} is asked for by itself`,
  });
}

function notFetched(
  { package: name, suite }: DebianSource,
  mirrors: readonly string[],
  results: Results,
): UserError {
  return new UserError({
    what: `get the source of ${name}`,
    why: `${shown(mirrors)}, the mirror of Debian in this machine's apt, does not give it (suite ${suite})${said(results)}`,
    fix: `let /etc/apt name a mirror that has source packages of ${suite}, and install debian-archive-keyring`,
  });
}

type Results = readonly CommandResult[];

function said(results: Results): string {
  const lines = results.flatMap(({ errorCode: code, stderr }) => code ?? stderr);
  const text = lastLines(lines.join('\n'), 10);
  return text === '' ? '' : `:\n${text}`;
}

/** Without names and passwords, which may be in a URI. */
function shown(mirrors: readonly string[]): string {
  return mirrors.map((uri) => uri.replace(/\/\/[^/@]*@/, '//')).join(', ');
}
