import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** Mount points at or below any of the directories, deepest first. */
export async function mountsBelow(directories: readonly string[]): Promise<string[]> {
  return selectMounts(await readFile('/proc/self/mountinfo', 'utf8'), directories);
}

/** Pure part of `mountsBelow`: later mounts hide earlier ones and go first. */
export function selectMounts(mountinfo: string, directories: readonly string[]): string[] {
  return mountinfo
    .split('\n')
    .map((line) => unescapeMount(line.split(' ')[4] ?? ''))
    .filter((point) =>
      directories.some((directory) => point === directory || point.startsWith(`${directory}/`)),
    )
    .reverse();
}

/** Unmounts everything below the directories; a busy mount is detached. Returns how many there were. */
export async function unmountBelow(directories: readonly string[]): Promise<number> {
  const points = await mountsBelow(directories);
  for (const point of points) {
    // Lazily, since a process of somebody else may stand in it.
    await run('umount', ['--lazy', '--no-canonicalize', point], { timeout: 30_000 });
  }
  return points.length;
}

/** The kernel writes space, tab, newline and backslash as octal. */
function unescapeMount(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_match, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  );
}
