import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { errorMessage, UserError } from '../base/errors.ts';
import { readTextIfExists } from '../base/files.ts';
import type { SystemUser } from './types.ts';

const run = promisify(execFile);

/** Programs of administration may not be on the PATH of who installs. */
const administrationPath = '/usr/local/sbin:/usr/sbin:/sbin:/usr/local/bin:/usr/bin:/bin';
const options = { timeout: 30_000, env: { PATH: administrationPath } };

/** Whether the machine lacks the user, and neither its name nor its number belongs to somebody else. */
export async function canMakeUser({ name, id }: SystemUser): Promise<boolean> {
  const isTaken = (fields: readonly string[]) => fields[0] === name || fields[2] === String(id);
  return !(await hasEntry('/etc/passwd', isTaken)) && !(await hasEntry('/etc/group', isTaken));
}

/**
 * Makes a user and its group. To be called when it can be made.
 * @throws UserError with what the machine's tool said.
 */
export async function makeSystemUser({ name, id }: SystemUser): Promise<void> {
  const number = String(id);
  const traits = ['--no-create-home', '--home-dir', '/nonexistent', '--shell', '/usr/sbin/nologin'];
  try {
    await run('groupadd', ['--system', '--gid', number, name], options);
    await run('useradd', ['--system', '--uid', number, '--gid', name, ...traits, name], options);
  } catch (error) {
    throw new UserError({
      what: `make the user ${name}`,
      why: errorMessage(error).trim().split('\n').at(-1) ?? '',
      fix: `make it with what this system has for that, number ${number}, and run this again`,
      cause: error,
    });
  }
}

/** Removes a user and its group; nothing there is nothing done. */
export async function removeSystemUser(name: string): Promise<void> {
  if (await hasEntry('/etc/passwd', (fields) => fields[0] === name))
    await run('userdel', [name], options);
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
