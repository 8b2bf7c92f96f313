import { createHash } from 'node:crypto';
import type { KubeClient } from '../kube-client/types.ts';
import { type ConfigMapObject, configMapRef, updateConfigMap } from './config-map.ts';
import type { JoinRole } from './types.ts';

/**
 * What is remembered of a token when its Secret is gone (kube-controller-manager removes it the moment it expires), so
 * that its bearer hears what became of it. No secret: 82 random bits cannot be found from their hash.
 */
export interface LedgerEntry {
  readonly id: string;
  readonly role: JoinRole;
  /** SHA-256 of the secret, hex. */
  readonly secretHash: string;
  /** ISO 8601. */
  readonly expiresAt: string;
  /** ISO 8601, of a token that was revoked. */
  readonly revokedAt?: string;
}

const ledgerName = 'mini-k8s-tokens';
/** Those that end last are kept: one ConfigMap holds them all. */
const maxEntries = 500;
/** A mail with a token is not tried later than this after its end. */
const keptAfterMs = 30 * 86_400_000;

export function hashSecret(secret: string): string {
  return createHash('sha256').update(secret).digest('hex');
}

export async function findInLedger(
  client: KubeClient,
  id: string,
  signal?: AbortSignal,
): Promise<LedgerEntry | undefined> {
  const ledger = await client.get<ConfigMapObject>(configMapRef(ledgerName), signal);
  return parseEntry(id, ledger?.data?.[id]);
}

/** Adds or replaces an entry, and forgets those that ended long ago. */
export async function rememberToken(
  client: KubeClient,
  entry: LedgerEntry,
  nowMs: number,
): Promise<void> {
  await updateConfigMap(client, ledgerName, (current) => ({
    labels: {},
    data: renderEntries(
      [...readEntries(current).filter(({ id }) => id !== entry.id), entry],
      nowMs,
    ),
  }));
}

function readEntries(ledger: ConfigMapObject | undefined): LedgerEntry[] {
  return Object.entries(ledger?.data ?? {}).flatMap(([id, text]) => parseEntry(id, text) ?? []);
}

function renderEntries(entries: readonly LedgerEntry[], nowMs: number): Record<string, string> {
  const kept = entries
    .filter((entry) => Date.parse(entry.expiresAt) > nowMs - keptAfterMs)
    .toSorted((a, b) => b.expiresAt.localeCompare(a.expiresAt))
    .slice(0, maxEntries);
  return Object.fromEntries(kept.map(({ id, ...entry }) => [id, JSON.stringify(entry)]));
}

/** Somebody may have edited the object: what cannot be read is not there. */
function parseEntry(id: string, text: string | undefined): LedgerEntry | undefined {
  if (text === undefined) return undefined;
  try {
    const { secretHash, expiresAt, ...rest } = JSON.parse(text) as Partial<LedgerEntry>;
    const isReadable =
      typeof secretHash === 'string' && !Number.isNaN(Date.parse(String(expiresAt)));
    if (!isReadable || expiresAt === undefined) return undefined;
    const { revokedAt } = rest;
    return {
      id,
      role: rest.role === 'controller' ? 'controller' : 'worker',
      secretHash,
      expiresAt,
      ...(revokedAt === undefined ? {} : { revokedAt }),
    };
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof TypeError) return undefined;
    throw error;
  }
}
