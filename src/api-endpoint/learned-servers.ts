import { readTextIfExists, writeFileAtomic } from '../base/files.ts';
import { parseHostPort, renderHostPort } from '../base/host-port.ts';

/** More controllers than this are not a cluster of ours; the list is not to grow without a bound. */
const maxServers = 16;

/** Valid `host:port` entries, each once, in order. Pure. */
export function cleanServers(servers: readonly unknown[]): string[] {
  const valid = servers.flatMap((entry) => {
    const parsed = typeof entry === 'string' ? parseHostPort(entry) : undefined;
    return parsed === undefined ? [] : [renderHostPort(parsed)];
  });
  return [...new Set(valid)].slice(0, maxServers);
}

/** The servers of the last run; none where the file is missing or not what we wrote. */
export async function readLearnedServers(file: string): Promise<string[]> {
  const text = await readTextIfExists(file);
  return text === undefined ? [] : parseLearnedServers(text);
}

/** Pure. A file that a power cut or a person left in another state counts as none. */
export function parseLearnedServers(text: string): string[] {
  try {
    const value: unknown = JSON.parse(text);
    const servers = value instanceof Object && 'servers' in value ? value.servers : undefined;
    return Array.isArray(servers) ? cleanServers(servers) : [];
  } catch (error) {
    if (error instanceof SyntaxError) return [];
    throw error;
  }
}

export async function writeLearnedServers(file: string, servers: readonly string[]): Promise<void> {
  await writeFileAtomic(file, `${JSON.stringify({ version: 1, servers }, null, 2)}\n`, {
    mode: 0o600,
  });
}
