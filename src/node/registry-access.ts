import { createHash } from 'node:crypto';
import type { Peer } from '../base/http-route.ts';
import type { TokenCheck } from '../join/check-token.ts';
import type { JoinRecords } from '../join/join-records.ts';
import { JoinRefusal } from '../join/join-refusal.ts';
import { nodeNameOf } from '../join/node-name.ts';

export interface RegistryAccessOptions {
  readonly tokens: TokenCheck;
  readonly records: Pick<JoinRecords, 'get'>;
  /** A clock that only goes forward. */
  readonly monotonicMs: () => number;
}

export interface RegistryReader {
  readonly authorization: string | undefined;
  readonly peer: Peer;
}

/** A pull is dozens of requests within seconds. Whoever is removed or revoked is refused after this at the latest. */
const trustedForMs = 10_000;
/** Far more than download at a time; one more costs the oldest another look. */
const maxTrusted = 1024;

/**
 * Whether somebody may read the store: whoever has a token that holds, or the certificate of a node that was not removed.
 * A yes holds for some seconds, a no is looked at anew each time: who has just joined again need not wait.
 */
export function createRegistryAccess(
  options: RegistryAccessOptions,
): (reader: RegistryReader) => Promise<boolean> {
  const { monotonicMs } = options;
  /** When each yes ends, the oldest first. */
  const trusted = new Map<string, number>();
  const asking = new Map<string, Promise<boolean>>();
  const remember = (key: string) => {
    trusted.delete(key);
    trusted.set(key, monotonicMs() + trustedForMs);
    const [oldest] = trusted.keys();
    if (trusted.size > maxTrusted && oldest !== undefined) trusted.delete(oldest);
  };
  return (reader) => {
    const key = keyOf(reader);
    if (key === undefined) return Promise.resolve(false);
    if ((trusted.get(key) ?? Number.NEGATIVE_INFINITY) > monotonicMs()) {
      return Promise.resolve(true);
    }
    const known = asking.get(key);
    if (known !== undefined) return known;
    const answer = mayRead(options, reader)
      .then((isAllowed) => {
        if (isAllowed) remember(key);
        else trusted.delete(key);
        return isAllowed;
      })
      .finally(() => asking.delete(key));
    asking.set(key, answer);
    return answer;
  };
}

/** Undefined for somebody who shows nothing. Tokens are kept as hashes, and apart by address, as their limits are. */
function keyOf({ authorization, peer }: RegistryReader): string | undefined {
  const nodeName = nodeOf(peer);
  if (nodeName !== undefined) return `node ${nodeName}`;
  if (authorization === undefined) return undefined;
  const hash = createHash('sha256').update(authorization).digest('base64');
  return `token ${peer.remoteAddress} ${hash}`;
}

async function mayRead(
  { tokens, records }: RegistryAccessOptions,
  { authorization, peer }: RegistryReader,
): Promise<boolean> {
  const nodeName = nodeOf(peer);
  if (nodeName !== undefined) return (await records.get(nodeName))?.removedAt === undefined;
  try {
    await tokens.check({ authorization, remoteAddress: peer.remoteAddress });
    return true;
  } catch (error) {
    if (error instanceof JoinRefusal) return false;
    throw error;
  }
}

function nodeOf({ certificate }: Peer): string | undefined {
  return certificate === undefined ? undefined : nodeNameOf(certificate);
}
