import { readFile, stat } from 'node:fs/promises';
import { Agent } from 'node:https';
import { createSecureContext, type SecureContext } from 'node:tls';
import { errorCode } from '../base/errors.ts';

/** Who the client is and whom it trusts. Files are read again when they change, so renewed certificates are taken up. */
export interface Credentials {
  /** PEM of the CA that signed the server's certificate, as a file or as text. */
  readonly caFile?: string;
  readonly ca?: string;
  readonly certFile?: string;
  readonly keyFile?: string;
  readonly token?: string;
  /** Name to verify in the server's certificate when it is not the URL's host. */
  readonly servername?: string;
}

/** Gives the connection pool that has the newest certificates. */
export interface AgentSource {
  /** @throws the read error when a file cannot be read and there was no earlier pool. */
  current(): Promise<Agent>;
  /** Looks at the files now. True when they had changed, so that a new try may go better. */
  refresh(): Promise<boolean>;
  close(): void;
}

/** Files are looked at on use, at most this often; a TLS error or 401 looks at once. */
const checkIntervalMs = 30_000;

export function createAgentSource(credentials: Credentials): AgentSource {
  let agent: Agent | undefined;
  let fingerprint = '';
  let checkedAt = 0;

  async function refresh(): Promise<boolean> {
    checkedAt = performance.now();
    const seen = await fingerprintOf(credentials);
    if (agent !== undefined && seen === fingerprint) return false;
    const secureContext = await readContext(credentials, agent !== undefined);
    if (secureContext === undefined) return false;
    if (agent !== undefined) retire(agent);
    agent = createAgent(secureContext, credentials.servername);
    fingerprint = seen;
    return true;
  }

  return {
    async current() {
      if (agent === undefined || performance.now() - checkedAt > checkIntervalMs) await refresh();
      if (agent === undefined) throw new Error('no TLS agent');
      return agent;
    },
    refresh,
    close: () => agent?.destroy(),
  };
}

function createAgent(secureContext: SecureContext, servername: string | undefined): Agent {
  return new Agent({
    keepAlive: true,
    keepAliveMsecs: 30_000,
    maxFreeSockets: 2,
    maxCachedSessions: 2,
    secureContext,
    ...(servername === undefined ? {} : { servername }),
  });
}

/** Requests in flight (watches too) finish on the old pool; nothing new starts there. */
function retire(agent: Agent): void {
  agent.maxFreeSockets = 0;
  for (const sockets of Object.values(agent.freeSockets)) {
    for (const socket of sockets ?? []) socket.destroy();
  }
}

/**
 * The certificates as they are now; undefined when an older set may be kept because the files are being
 * replaced at this moment (certificate and key are two files, so for an instant they may not match).
 */
async function readContext(
  credentials: Credentials,
  mayKeepOld: boolean,
): Promise<SecureContext | undefined> {
  const read = async (file: string | undefined) =>
    file === undefined ? undefined : await readFile(file, 'utf8');
  try {
    const [ca, cert, key] = await Promise.all([
      credentials.ca ?? read(credentials.caFile),
      read(credentials.certFile),
      read(credentials.keyFile),
    ]);
    return createSecureContext({
      minVersion: 'TLSv1.2',
      ...(ca === undefined ? {} : { ca }),
      ...(cert === undefined ? {} : { cert }),
      ...(key === undefined ? {} : { key }),
    });
  } catch (error) {
    if (mayKeepOld && isReplacementError(error)) return undefined;
    throw error;
  }
}

function isReplacementError(error: unknown): boolean {
  const code = errorCode(error) ?? '';
  return code === 'ENOENT' || code.startsWith('ERR_OSSL') || code.startsWith('ERR_CRYPTO');
}

async function fingerprintOf(credentials: Credentials): Promise<string> {
  const files = [credentials.caFile, credentials.certFile, credentials.keyFile];
  const stats = files.map(async (file) => {
    if (file === undefined) return '';
    try {
      const { ino, size, mtimeMs } = await stat(file);
      return `${ino}:${size}:${mtimeMs}`;
    } catch (error) {
      if (errorCode(error) === 'ENOENT') return 'missing';
      throw error;
    }
  });
  return (await Promise.all(stats)).join(' ');
}
