import { readFile } from 'node:fs/promises';
import { runTool } from './run-tool.ts';

/**
 * Mount points below any of the directories, last made first. A mount at a directory itself is not among them: that is
 * a disk which the machine's owner put there.
 */
export async function mountsBelow(directories: readonly string[]): Promise<string[]> {
  return selectMounts(await readFile('/proc/self/mountinfo', 'utf8'), isBelow(directories));
}

/** Pure part: later mounts hide or stand in earlier ones, so they go first. */
export function selectMounts(
  mountinfo: string,
  isWanted: (mountPoint: string) => boolean,
): string[] {
  return mountinfo
    .split('\n')
    .map((line) => unescapeMount(line.split(' ')[4] ?? ''))
    .filter(isWanted)
    .reverse();
}

/** Whether a path is below one of the directories. */
export function isBelow(directories: readonly string[]): (file: string) => boolean {
  return (file) => directories.some((directory) => file.startsWith(`${directory}/`));
}

/** Unmounts everything below the directories. Returns how many mounts there were. */
export async function unmountBelow(directories: readonly string[]): Promise<number> {
  return unmountMounts(isBelow(directories));
}

/** Unmounts what is wanted; a busy mount is detached. Returns how many there were. */
export async function unmountMounts(isWanted: (mountPoint: string) => boolean): Promise<number> {
  const select = async () => selectMounts(await readFile('/proc/self/mountinfo', 'utf8'), isWanted);
  const points = await select();
  for (const point of points) {
    // One that propagated from another went with it.
    if (!(await select()).includes(point)) continue;
    // Lazily, since a process of somebody else may stand in it.
    await runTool('umount', ['--lazy', '--no-canonicalize', point]);
  }
  return points.length;
}

/** The kernel writes space, tab, newline and backslash as octal. */
function unescapeMount(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_match, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  );
}
