import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { readTextIfExists } from '../base/files.ts';
import type { SystemUser } from './types.ts';

const run = promisify(execFile);

/** Programs of administration may not be on the PATH of who installs. */
const administrationPath = '/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin';
const options = { timeout: 30_000, env: { PATH: administrationPath } };

/** Whether the machine has a user of that name. */
export async function hasUser(name: string): Promise<boolean> {
  return hasEntry('/etc/passwd', (fields) => fields[0] === name);
}

/**
 * Makes a user and its group, unless there is one of that name; with the wanted number, where it is free.
 * @throws Error with what the machine's tool said.
 */
export async function ensureSystemUser(user: SystemUser): Promise<void> {
  if (await hasUser(user.name)) return;
  const isTaken =
    (await hasEntry('/etc/passwd', (fields) => fields[2] === String(user.id))) ||
    (await hasEntry('/etc/group', (fields) => fields[2] === String(user.id)));
  const number = isTaken ? [] : ['--uid', String(user.id)];
  if (!(await hasEntry('/etc/group', (fields) => fields[0] === user.name))) {
    const gid = isTaken ? [] : ['--gid', String(user.id)];
    await run('groupadd', ['--system', ...gid, user.name], options);
  }
  const traits = ['--no-create-home', '--home-dir', '/nonexistent', '--shell', '/usr/sbin/nologin'];
  await run('useradd', ['--system', ...number, '--gid', user.name, ...traits, user.name], options);
}

/** Removes a user and its group; nothing there is nothing done. */
export async function removeSystemUser(name: string): Promise<void> {
  if (await hasUser(name)) await run('userdel', [name], options);
  if (await hasEntry('/etc/group', (fields) => fields[0] === name)) {
    await run('groupdel', [name], options);
  }
}

async function hasEntry(
  file: string,
  isWanted: (fields: readonly string[]) => boolean,
): Promise<boolean> {
  const text = (await readTextIfExists(file)) ?? '';
  return text.split('\n').some((line) => isWanted(line.split(':')));
}
