import { readTextIfExists } from '../../../src/base/files.ts';

/** systemd-resolved keeps the real servers here; /etc/resolv.conf names its own stub on loopback. */
const SOURCES = ['/etc/resolv.conf', '/run/systemd/resolve/resolv.conf'];

/** The host's name servers that a node can reach too: none on loopback. */
export async function readHostNameservers(): Promise<readonly string[]> {
  for (const file of SOURCES) {
    const servers = parseNameservers((await readTextIfExists(file)) ?? '');
    if (servers.length > 0) return servers;
  }
  return [];
}

/** The `nameserver` lines of a resolv.conf, without loopback ones. */
export function parseNameservers(resolvConf: string): readonly string[] {
  return [...resolvConf.matchAll(/^nameserver\s+(\S+)/gm)]
    .map((match) => match[1] ?? '')
    .filter((server) => !/^(127\.|::1$|0\.0\.0\.0$)/.test(server));
}
