import { randomInt } from 'node:crypto';
import { UserError } from '../base/errors.ts';
import type { KubeClient, KubeObject, ObjectRef, ResourceType } from '../kube-client/types.ts';
import { joinNamespace, managedByLabel } from './config-map.ts';
import { isTokenId } from './token.ts';
import { findInLedger, hashSecret, rememberToken } from './token-ledger.ts';
import type { JoinRole } from './types.ts';

/** A bootstrap token without its secret. */
export interface BootstrapToken {
  readonly id: string;
  /** Undefined for one that others made for something else. */
  readonly role: JoinRole | undefined;
  /** ISO 8601; undefined for one of others that never expires. */
  readonly expiresAt: string | undefined;
  readonly description: string;
}

/** A token as its Secret has it. `secret` is never shown. */
export interface StoredToken extends BootstrapToken {
  readonly secret: string;
  readonly mayAuthenticate: boolean;
}

export interface NewToken {
  readonly role: JoinRole;
  readonly ttlMs: number;
  readonly description: string;
  readonly nowMs: number;
}

export interface CreatedToken {
  readonly id: string;
  readonly secret: string;
  /** ISO 8601. */
  readonly expiresAt: string;
}

const tokenType = 'bootstrap.kubernetes.io/token';
const namePrefix = 'bootstrap-token-';
const groupPrefix = 'system:bootstrappers:mini-k8s:';
const roleLabel = 'mini-k8s.io/token-role';
const createdAnnotation = 'mini-k8s.io/created-at';
const alphabet = 'abcdefghijklmnopqrstuvwxyz0123456789';
const maxDescriptionLength = 200;

const secretResource: ResourceType = {
  apiVersion: 'v1',
  kind: 'Secret',
  plural: 'secrets',
  namespaced: true,
};

interface SecretObject extends KubeObject {
  readonly type?: string;
  /** Base64. */
  readonly data?: Readonly<Record<string, string>>;
}

/**
 * Makes a bootstrap token that kube-apiserver accepts as a bearer token until it expires.
 * @see https://kubernetes.io/docs/reference/access-authn-authz/bootstrap-tokens/
 * @throws UserError for a description that is no single short line.
 */
export async function createBootstrapToken(
  client: KubeClient,
  options: NewToken,
): Promise<CreatedToken> {
  refuseDescription(options.description);
  const id = randomText(6);
  const secret = randomText(16);
  const { role, nowMs } = options;
  // Kubernetes reads seconds here, and refuses fractions.
  const expiresAt = isoSeconds(nowMs + options.ttlMs);
  await rememberToken(client, { id, role, secretHash: hashSecret(secret), expiresAt }, nowMs);
  await client.create({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: {
      name: `${namePrefix}${id}`,
      namespace: joinNamespace,
      labels: { ...managedByLabel, [roleLabel]: role },
      annotations: { [createdAnnotation]: isoSeconds(nowMs) },
    },
    type: tokenType,
    stringData: {
      'token-id': id,
      'token-secret': secret,
      expiration: expiresAt,
      'usage-bootstrap-authentication': 'true',
      'usage-bootstrap-signing': 'false',
      'auth-extra-groups': `${groupPrefix}${role}`,
      ...(options.description === '' ? {} : { description: options.description }),
    },
  });
  return { id, secret, expiresAt };
}

/** All bootstrap tokens of the cluster, those that end first at first. */
export async function listBootstrapTokens(client: KubeClient): Promise<BootstrapToken[]> {
  const { items } = await client.list<SecretObject>(secretResource, {
    namespace: joinNamespace,
    fieldSelector: `type=${tokenType}`,
  });
  return items
    .flatMap((item) => readToken(item) ?? [])
    .map(({ id, role, expiresAt, description }) => ({ id, role, expiresAt, description }))
    .toSorted((a, b) => (a.expiresAt ?? '~').localeCompare(b.expiresAt ?? '~'));
}

/** Deletes a token. False when there is none by this id. Machines that have joined with it stay. */
export async function revokeBootstrapToken(
  client: KubeClient,
  id: string,
  nowMs: number,
): Promise<boolean> {
  if (!isTokenId(id)) {
    throw new UserError({
      what: 'revoke the token',
      why: 'its id is the six letters and digits that "mini-k8s token list" shows',
      fix: 'mini-k8s token list',
    });
  }
  const isDeleted = await client.delete(secretRef(id));
  const entry = await findInLedger(client, id);
  if (!isDeleted || entry === undefined) return isDeleted;
  await rememberToken(client, { ...entry, revokedAt: isoSeconds(nowMs) }, nowMs);
  return true;
}

/** The token of this id; undefined when there is none or its Secret cannot be used as one. */
export async function readBootstrapToken(
  client: KubeClient,
  id: string,
  signal?: AbortSignal,
): Promise<StoredToken | undefined> {
  const secret = await client.get<SecretObject>(secretRef(id), signal);
  return secret === undefined ? undefined : readToken(secret);
}

function secretRef(id: string): ObjectRef {
  return { resource: secretResource, name: `${namePrefix}${id}`, namespace: joinNamespace };
}

function readToken(object: SecretObject): StoredToken | undefined {
  const field = (name: string) => Buffer.from(object.data?.[name] ?? '', 'base64').toString('utf8');
  const id = field('token-id');
  if (object.type !== tokenType || object.metadata.name !== `${namePrefix}${id}`) return undefined;
  const expiresAt = field('expiration');
  return {
    id,
    secret: field('token-secret'),
    role: roleOf(field('auth-extra-groups')),
    expiresAt: expiresAt === '' ? undefined : expiresAt,
    description: field('description'),
    mayAuthenticate: field('usage-bootstrap-authentication') === 'true',
  };
}

/** The group is what kube-apiserver goes by, so it is what counts here too. */
function roleOf(groups: string): JoinRole | undefined {
  const roles: readonly JoinRole[] = ['worker', 'controller'];
  const ours = groups.split(',').filter((group) => group.startsWith(groupPrefix));
  return roles.find((role) => ours.length === 1 && ours[0] === `${groupPrefix}${role}`);
}

function randomText(length: number): string {
  return Array.from({ length }, () => alphabet[randomInt(alphabet.length)]).join('');
}

function isoSeconds(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d{3}Z$/, 'Z');
}

function refuseDescription(description: string): void {
  const isLine = description.length <= maxDescriptionLength && !/\p{Cc}/u.test(description);
  if (isLine) return;
  throw new UserError({
    what: 'create a token',
    why: `its description is not one line of at most ${maxDescriptionLength} characters`,
    fix: 'shorten --description',
  });
}
