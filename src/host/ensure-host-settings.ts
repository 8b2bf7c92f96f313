import { execFile } from 'node:child_process';
import { lstat, mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { errorCode, errorMessage, UserError } from '../base/errors.ts';
import { readTextIfExists, writeFileAtomic } from '../base/files.ts';
import { ensureNftTable } from './nft-table.ts';
import type { HostEvent, HostSetting, SettingOutcome } from './types.ts';
import { ensureUnreachableRoute } from './unreachable-route.ts';

const run = promisify(execFile);

export interface EnsureHostOptions {
  /** Previous values are written here before anything is changed. */
  readonly recordFile: string;
  readonly onEvent: (event: HostEvent) => void;
}

/** One change of the machine, with what was there before, for `undoHostSettings`. */
export type HostRecord =
  | {
      readonly type: 'sysctl';
      readonly key: string;
      readonly previous: string;
      /** What we set: another value at the time of `undoHostSettings` is somebody else's wish. */
      readonly value: string;
    }
  | { readonly type: 'link'; readonly path: string; readonly target: string }
  | { readonly type: 'nft-table'; readonly name: string }
  | { readonly type: 'unreachable-route'; readonly destination: string };

/**
 * Makes the machine what a node needs. Each change is recorded durably before it is made, with the value that was
 * there; a setting that is right already is left alone and not recorded.
 * @throws UserError for a sysctl that is needed and cannot be set.
 */
export async function ensureHostSettings(
  settings: readonly HostSetting[],
  options: EnsureHostOptions,
): Promise<void> {
  for (const setting of settings) await ensureSetting(setting, options);
}

function ensureSetting(setting: HostSetting, options: EnsureHostOptions): Promise<void> {
  switch (setting.type) {
    case 'module':
      return loadModule(setting.name, options);
    case 'sysctl':
      return setSysctl(setting, options);
    case 'link':
      return makeLink(setting, options);
    case 'shared-mount':
      return shareMount(setting.path, options);
    case 'nft-table':
      return setNftTable(setting, options);
    case 'unreachable-route':
      return addUnreachableRoute(setting.destination, options);
  }
}

/** The recorded changes, oldest first. */
export async function readHostRecords(recordFile: string): Promise<HostRecord[]> {
  const text = await readTextIfExists(recordFile);
  return text === undefined ? [] : (JSON.parse(text) as HostRecord[]);
}

export function sysctlFile(key: string): string {
  return path.join('/proc/sys', ...key.split('.'));
}

async function loadModule(name: string, options: EnsureHostOptions): Promise<void> {
  if (await isModuleThere(name)) return;
  try {
    await run('modprobe', [name], { timeout: 10_000 });
    options.onEvent({ type: 'host-setting-changed', setting: `module ${name}` });
  } catch (error) {
    // Often built into the kernel without a trace; whoever needs it will say so more precisely.
    const reason = errorMessage(error).split('\n')[0] ?? '';
    options.onEvent({ type: 'host-setting-skipped', setting: `module ${name}`, reason });
  }
}

async function isModuleThere(name: string): Promise<boolean> {
  const loaded = (await readTextIfExists('/proc/modules')) ?? '';
  if (loaded.split('\n').some((line) => line.startsWith(`${name} `))) return true;
  const filesystems = (await readTextIfExists('/proc/filesystems')) ?? '';
  return filesystems.split('\n').some((line) => line.endsWith(`\t${name}`));
}

async function setSysctl(
  setting: Extract<HostSetting, { type: 'sysctl' }>,
  options: EnsureHostOptions,
): Promise<void> {
  const { key, value } = setting;
  try {
    const previous = (await readFile(sysctlFile(key), 'utf8')).trim();
    if (previous === value) return;
    await record(options.recordFile, { type: 'sysctl', key, previous, value });
    await writeFile(sysctlFile(key), value);
    options.onEvent({ type: 'host-setting-changed', setting: `sysctl ${key}=${value}` });
  } catch (error) {
    const reason = errorMessage(error);
    if (setting.isOptional !== true) {
      throw new UserError({
        what: `set sysctl ${key} to ${value}`,
        why: reason,
        fix: `set it by hand (sysctl -w ${key}=${value}) or in /etc/sysctl.d`,
        cause: error,
      });
    }
    options.onEvent({ type: 'host-setting-skipped', setting: `sysctl ${key}`, reason });
  }
}

async function makeLink(
  setting: Extract<HostSetting, { type: 'link' }>,
  options: EnsureHostOptions,
): Promise<void> {
  if (await somethingIsAt(setting.path)) return;
  await record(options.recordFile, { type: 'link', path: setting.path, target: setting.target });
  await mkdir(path.dirname(setting.path), { recursive: true });
  await symlink(setting.target, setting.path);
  options.onEvent({ type: 'host-setting-changed', setting: `link ${setting.path}` });
}

async function somethingIsAt(file: string): Promise<boolean> {
  try {
    await lstat(file);
    return true;
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return false;
    throw error;
  }
}

/** systemd shares all mounts already; other inits do not, and kubelet's mounts must reach containers. */
async function shareMount(mountPoint: string, options: EnsureHostOptions): Promise<void> {
  const mounts = await readFile('/proc/self/mountinfo', 'utf8');
  const line = mounts.split('\n').find((entry) => entry.split(' ')[4] === mountPoint);
  if (line?.includes(' shared:') === true) return;
  await run('mount', ['--make-rshared', mountPoint], { timeout: 10_000 });
  options.onEvent({ type: 'host-setting-changed', setting: `shared mount ${mountPoint}` });
}

async function setNftTable(
  { name, ruleset }: Extract<HostSetting, { type: 'nft-table' }>,
  options: EnsureHostOptions,
): Promise<void> {
  await record(options.recordFile, { type: 'nft-table', name });
  report(`nftables table ip ${name}`, await ensureNftTable({ name, ruleset }), options);
}

async function addUnreachableRoute(destination: string, options: EnsureHostOptions): Promise<void> {
  await record(options.recordFile, { type: 'unreachable-route', destination });
  const outcome = await ensureUnreachableRoute(destination);
  report(`unreachable route ${destination}`, outcome, options);
}

function report(setting: string, outcome: SettingOutcome, { onEvent }: EnsureHostOptions): void {
  if (outcome.type === 'skipped') {
    onEvent({ type: 'host-setting-skipped', setting, reason: outcome.reason });
  } else if (outcome.type === 'changed') {
    onEvent({ type: 'host-setting-changed', setting });
  }
}

async function record(recordFile: string, entry: HostRecord): Promise<void> {
  const known = await readHostRecords(recordFile);
  const isKnown = known.some((other) => subjectOf(other) === subjectOf(entry));
  // The first value is the machine's own; a later one may be ours from before a reboot.
  if (isKnown) return;
  await writeFileAtomic(recordFile, `${JSON.stringify([...known, entry], null, 2)}\n`, {
    mode: 0o600,
  });
}

/** What a record is about; there is at most one of each. */
function subjectOf(entry: HostRecord): string {
  switch (entry.type) {
    case 'sysctl':
      return `sysctl ${entry.key}`;
    case 'link':
      return `link ${entry.path}`;
    case 'nft-table':
      return `nft-table ${entry.name}`;
    case 'unreachable-route':
      return `unreachable-route ${entry.destination}`;
  }
}
