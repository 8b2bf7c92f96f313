import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import path from 'node:path';
import { UserError } from '../../../src/base/errors.ts';
import { runOnHost } from './host-command.ts';

/** With OpenRC's two libraries. */
const packages = ['openrc', 'libeinfo1', 'librc1'];

/**
 * A directory with Debian's OpenRC unpacked: it cannot be installed on a host that has another service manager.
 * Fetched once; says so.
 * @throws UserError where there is no apt-get.
 */
export async function ensureOpenrc(): Promise<string> {
  const cache = process.env['XDG_CACHE_HOME'] ?? path.join(homedir(), '.cache');
  const directory = path.join(cache, 'mini-k8s', 'openrc');
  if (existsSync(path.join(directory, 'sbin/openrc-init'))) return directory;
  if (!existsSync('/usr/bin/apt-get')) {
    throw new UserError({
      what: 'make a machine with OpenRC',
      why: 'its packages come from apt-get, which is not on this machine',
      fix: `unpack OpenRC into ${directory}`,
    });
  }
  console.log(`setup: fetching ${packages.join(', ')} (apt-get download)`);
  await mkdir(path.dirname(directory), { recursive: true });
  const download = `apt-get download -qq ${packages.join(' ')}`;
  const unfinished = await mkdtemp(`${directory}-`);
  try {
    const debs = path.join(unfinished, 'packages');
    await mkdir(debs);
    await runOnHost(
      [
        'sh',
        '-c',
        `cd "$1" && { ${download} 2>/dev/null || { apt-get update -qq && ${download}; }; }`,
        'fetch',
        debs,
      ],
      {
        timeoutMs: 120_000,
      },
    );
    for (const file of await readdir(debs)) {
      await runOnHost([
        'dpkg-deb',
        '--extract',
        path.join(debs, file),
        path.join(unfinished, 'root'),
      ]);
    }
    await rename(path.join(unfinished, 'root'), directory);
  } finally {
    await rm(unfinished, { recursive: true, force: true });
  }
  return directory;
}
