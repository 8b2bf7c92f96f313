import { existsSync } from 'node:fs';
import path from 'node:path';
import { execa } from 'execa';
import { UserError } from '../../src/base/errors.ts';

/** A command that is needed and the Debian package that has it. */
export interface NeededCommand {
  readonly command: string;
  readonly package: string;
}

/** What a node is made with. */
export const NODE_COMMANDS: readonly NeededCommand[] = [
  { command: 'ip', package: 'iproute2' },
  { command: 'nft', package: 'nftables' },
  { command: 'mkfs.ext4', package: 'e2fsprogs' },
  { command: 'modprobe', package: 'kmod' },
  { command: 'losetup', package: 'mount' },
  { command: 'unshare', package: 'util-linux' },
  { command: 'nsenter', package: 'util-linux' },
];

/**
 * Installs the packages of commands that are missing, and says so; does nothing when all are there.
 * @throws UserError when apt is missing or fails.
 */
export async function ensurePackages(
  needed: readonly NeededCommand[],
  say: (line: string) => void,
): Promise<void> {
  const missing = needed.filter(({ command }) => !isInstalled(command));
  if (missing.length === 0) return;
  const packages = [...new Set(missing.map((entry) => entry.package))];
  const commands = missing.map(({ command }) => command).join(', ');
  say(`installing ${packages.join(', ')} (${commands} missing)`);
  const env = { DEBIAN_FRONTEND: 'noninteractive' };
  const install = ['install', '--yes', '--quiet', '--no-install-recommends', ...packages];
  await execa('apt-get', ['update', '--quiet'], { reject: false, env });
  const result = await execa('apt-get', install, { reject: false, env, all: true });
  if (!result.failed) return;
  throw new UserError({
    what: `install ${packages.join(', ')}`,
    why: result.code === 'ENOENT' ? 'this system has no apt-get' : result.all.trim(),
    fix: `install what holds ${commands} with this system's package manager`,
  });
}

/** Users' PATH often lacks sbin. */
function isInstalled(command: string): boolean {
  const directories = [...(process.env['PATH'] ?? '').split(':'), '/usr/sbin', '/sbin', '/usr/bin'];
  return directories.some((directory) => existsSync(path.join(directory, command)));
}
