import { timingSafeEqual } from 'node:crypto';
import type { Clock } from '../base/time.ts';
import type { KubeClient } from '../kube-client/types.ts';
import { readBootstrapToken, type StoredToken } from './bootstrap-tokens.ts';
import { createFailureLimit } from './failure-limit.ts';
import { JoinRefusal } from './join-refusal.ts';
import { isTokenId, isTokenSecret } from './token.ts';
import { findInLedger, hashSecret } from './token-ledger.ts';
import type { JoinRole } from './types.ts';

export interface TokenCheckOptions {
  readonly client: KubeClient;
  readonly clock: Clock;
}

export interface PresentedToken {
  /** The request's `Authorization`. */
  readonly authorization: string | undefined;
  readonly remoteAddress: string;
  readonly signal?: AbortSignal;
}

/** Decides whether a bearer token is one of this cluster's join tokens. One for all routes: they share the limits. */
export interface TokenCheck {
  /**
   * The token, when it holds now.
   * @param role what it must be for; any when left out.
   * @throws JoinRefusal that tells its bearer what is wrong with it, and somebody who guesses nothing.
   */
  check(presented: PresentedToken, role?: JoinRole): Promise<StoredToken>;
}

/** One token that is wrong, again and again: a machine that tries in a loop must not lock out its neighbours. */
const perToken = { maxFailures: 10, windowMs: 60_000, maxKeys: 4096 };
/** All of one address: somebody who guesses ids. */
const perAddress = { maxFailures: 100, windowMs: 60_000, maxKeys: 4096 };

export function createTokenCheck(options: TokenCheckOptions): TokenCheck {
  const { clock } = options;
  const limits = [
    { limit: createFailureLimit({ clock, ...perToken }), isPerToken: true },
    { limit: createFailureLimit({ clock, ...perAddress }), isPerToken: false },
  ];
  return {
    async check(presented, role) {
      const { id, secret } = readBearer(presented.authorization);
      const keyOf = (isPerToken: boolean) =>
        isPerToken ? `${presented.remoteAddress} ${id}` : presented.remoteAddress;
      const waits = limits.map(({ limit, isPerToken }) => limit.waitSeconds(keyOf(isPerToken)));
      const waitSeconds = Math.max(...waits);
      if (waitSeconds > 0) throw tooManyFailures(presented.remoteAddress, waitSeconds);
      const verdict = await judge(options, { id, secret, role }, presented.signal);
      if (!(verdict instanceof JoinRefusal)) return verdict;
      // Only guesses count: a token that once was right is no guess.
      if (verdict.reason === 'TokenUnknown') {
        for (const { limit, isPerToken } of limits) limit.record(keyOf(isPerToken));
      }
      throw verdict;
    },
  };
}

interface Bearer {
  readonly id: string;
  readonly secret: string;
}

function readBearer(authorization: string | undefined): Bearer {
  const [, id = '', secret = ''] =
    /^Bearer +(\w{1,64})\.(\w{1,64})$/i.exec(authorization ?? '') ?? [];
  if (isTokenId(id) && isTokenSecret(secret)) return { id, secret };
  throw new JoinRefusal({
    status: 401,
    reason: 'TokenMissing',
    message: 'there is no join token in the request',
    fix: 'make one on a controller with: mini-k8s token create',
  });
}

async function judge(
  { client, clock }: TokenCheckOptions,
  bearer: Bearer & { readonly role: JoinRole | undefined },
  signal: AbortSignal | undefined,
): Promise<StoredToken | JoinRefusal> {
  const { id, secret, role } = bearer;
  const token = await readBootstrapToken(client, id, signal);
  const isRight = token !== undefined && token.secret !== '' && isSame(secret, token.secret);
  if (!isRight || !token.mayAuthenticate)
    return await explainMissing(client, bearer, clock.now(), signal);
  if (token.expiresAt !== undefined && !(Date.parse(token.expiresAt) > clock.now())) {
    return expired(id, token.expiresAt, clock.now());
  }
  return role !== undefined && token.role !== role ? wrongRole(token, role) : token;
}

/** kube-controller-manager removes a Secret when it expires: the ledger knows what it was. */
async function explainMissing(
  client: KubeClient,
  { id, secret }: Bearer,
  nowMs: number,
  signal: AbortSignal | undefined,
): Promise<JoinRefusal> {
  const entry = await findInLedger(client, id, signal);
  if (entry === undefined || !isSame(hashSecret(secret), entry.secretHash)) return unknown(id);
  if (entry.revokedAt !== undefined) {
    return new JoinRefusal({
      status: 403,
      reason: 'TokenRevoked',
      message: `the token ${id} was revoked at ${entry.revokedAt}`,
      fix: makeAnother,
    });
  }
  return Date.parse(entry.expiresAt) <= nowMs ? expired(id, entry.expiresAt, nowMs) : unknown(id);
}

const makeAnother = 'make another on a controller with: mini-k8s token create';

function expired(id: string, expiresAt: string, nowMs: number): JoinRefusal {
  const now = new Date(nowMs).toISOString().replace(/\.\d+Z$/, 'Z');
  return new JoinRefusal({
    status: 401,
    reason: 'TokenExpired',
    message: `the token ${id} expired at ${expiresAt} (it is ${now} on the controller)`,
    fix: makeAnother,
  });
}

/** The same words whether id or secret is wrong. */
function unknown(id: string): JoinRefusal {
  return new JoinRefusal({
    status: 401,
    reason: 'TokenUnknown',
    message: `no token ${id} with this secret exists in this cluster: it is of another cluster, or was deleted`,
    fix: makeAnother,
  });
}

function wrongRole(token: StoredToken, wanted: JoinRole): JoinRefusal {
  const purpose = token.role === undefined ? 'no node of mini-k8s' : `a ${token.role}`;
  return new JoinRefusal({
    status: 403,
    reason: 'TokenWrongRole',
    message: `the token ${token.id} is for ${purpose}, not for a ${wanted}`,
    fix: `make one with: mini-k8s token create --role ${wanted}`,
  });
}

function tooManyFailures(remoteAddress: string, waitSeconds: number): JoinRefusal {
  return new JoinRefusal({
    status: 429,
    reason: 'TooManyFailures',
    message: `too many requests with wrong tokens came from ${remoteAddress}`,
    fix: `try again in ${waitSeconds} s`,
    retryAfterSeconds: waitSeconds,
  });
}

/** In a time that does not depend on where they differ. */
function isSame(a: string, b: string): boolean {
  return timingSafeEqual(Buffer.from(hashSecret(a)), Buffer.from(hashSecret(b)));
}
