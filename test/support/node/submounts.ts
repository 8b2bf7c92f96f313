import { readFile } from 'node:fs/promises';

/** File systems that can hold a part of the host's system. */
const DISK_TYPES = /^(ext[234]|xfs|btrfs|f2fs|zfs|overlay|9p|virtiofs|nfs4?)$/;

/** Places that a node has of its own, or that are no part of a system. */
const OWN_PLACES = /^\/(proc|sys|dev|run|tmp|var|opt|etc|boot|mnt|media|snap)(\/|$)/;

/**
 * Mounts below `/` that hold parts of the system, such as a separate /usr or /home: an overlay of `/` does not
 * show them. Parents before children.
 */
export async function systemSubmounts(): Promise<readonly string[]> {
  return parseSubmounts(await readFile('/proc/self/mountinfo', 'utf8'));
}

export function parseSubmounts(mountinfo: string): readonly string[] {
  const targets = mountinfo.split('\n').flatMap((line) => {
    const [mount = '', fileSystem = ''] = line.split(' - ');
    const target = unescapeOctal(mount.split(' ')[4] ?? '/');
    const type = fileSystem.split(' ')[0] ?? '';
    const isWanted = target !== '/' && DISK_TYPES.test(type) && !OWN_PLACES.test(target);
    return isWanted ? [target] : [];
  });
  return [...new Set(targets)].sort();
}

/** mountinfo writes blanks as \040. */
function unescapeOctal(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_match, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  );
}
