import { errorCode, UserError } from '../base/errors.ts';
import type { Clock } from '../base/time.ts';
import { authorityTtlDays, pkiFiles } from '../components/layout.ts';
import { type Paths, pathsFor } from '../config/paths.ts';
import { parseDuration } from '../join/duration.ts';
import { issueClientCertificate } from '../pki/issue-client.ts';
import { renderKubeconfig } from '../pki/kubeconfig.ts';
import {
  adminKubeconfigFile,
  defaultClusterName,
  explainNoAccess,
  ownServer,
  requireName,
} from './admin-kubeconfig.ts';
import { clockProblem } from './clock-gate.ts';

export interface UserKubeconfigOptions {
  readonly dataDir?: string;
  readonly user: string;
  readonly groups: readonly string[];
  /** `24h`, `30d`; a day when left out. */
  readonly ttl?: string;
  /** `https://host:port`; the running node's own address when left out. */
  readonly server?: string;
  readonly clusterName?: string;
  /** Lets names through that RBAC or the audit policy gives a meaning of its own. */
  readonly allowsReservedNames: boolean;
  readonly clock: Clock;
}

export interface UserKubeconfig {
  /** Holds a private key that is nowhere else. */
  readonly text: string;
  /** ISO 8601. */
  readonly notAfter: string;
}

const defaultTtlMs = 86_400_000;
/** Below it a clock that is a little wrong makes the certificate useless. */
const minTtlMs = 600_000;
/** Kubernetes cannot take a certificate back: whoever has it has access until its end. */
const maxTtlMs = 365 * 86_400_000;

/**
 * A kubeconfig of a user and groups with a client certificate of the cluster's CA. It is made from the CA's key on this
 * controller, so that it also works while the API does not. What the user may do is RBAC's business.
 * @throws UserError for a name or a life that is none, on a machine that is no controller, and for a wrong clock.
 */
export async function createUserKubeconfig(
  options: UserKubeconfigOptions,
): Promise<UserKubeconfig> {
  const paths = pathsFor(options);
  const clusterName = options.clusterName ?? defaultClusterName;
  requireName(clusterName);
  requireUsableNames(options);
  const ttlMs = parseLife(options.ttl);
  await adminKubeconfigFile(options.dataDir, `make a kubeconfig for ${options.user}`);
  const { notAfterMs, ...credentials } = await issue(options, { paths, ttlMs });
  const text = renderKubeconfig({
    ...credentials,
    server: options.server ?? (await ownServer(paths)),
    userName: options.user,
    clusterName,
  });
  return { text, notAfter: new Date(notAfterMs).toISOString() };
}

async function issue(
  { user, groups, clock }: UserKubeconfigOptions,
  { paths, ttlMs }: { readonly paths: Paths; readonly ttlMs: number },
) {
  const nowMs = clock.now();
  const { ca } = pkiFiles(paths);
  const problem = clockProblem(nowMs, [{ name: user, file: ca.certFile, state: 'missing' }]);
  if (problem !== undefined) {
    throw refusal(
      user,
      problem,
      "set the machine's clock (timedatectl set-time, or a time server)",
    );
  }
  try {
    return await issueClientCertificate({
      authority: { name: 'ca', commonName: 'mini-k8s-ca', ...ca, ttlDays: authorityTtlDays },
      ...{ commonName: user, organizations: groups, ttlMs, nowMs },
    });
  } catch (error) {
    throw error instanceof UserError && errorCode(error.cause) === 'EACCES'
      ? explainNoAccess(error.cause, `make a kubeconfig for ${user}`, paths)
      : error;
  }
}

function parseLife(text: string | undefined): number {
  const ttlMs = text === undefined ? defaultTtlMs : parseDuration(text);
  if (ttlMs !== undefined && ttlMs >= minTtlMs && ttlMs <= maxTtlMs) return ttlMs;
  throw new UserError({
    what: `give the kubeconfig the life ${JSON.stringify((text ?? '').slice(0, 40))}`,
    why:
      ttlMs === undefined
        ? 'it is not a duration such as 8h or 30d'
        : 'a certificate lives from 10m to 365d: nothing can take it back before its end',
    fix: 'use --ttl with 10m to 365d, such as 8h or 30d',
  });
}

/** Letters of any script: a certificate has them as UTF-8. What YAML, shells and logs trip over is left out. */
const usableName = /^[\p{L}\p{N}][\p{L}\p{N}@._:+/-]{0,62}$/u;

function requireUsableNames({ user, groups, allowsReservedNames }: UserKubeconfigOptions): void {
  for (const name of [user, ...groups]) {
    if (!usableName.test(name)) {
      throw refusal(
        user,
        `${JSON.stringify(name.slice(0, 80))} is not a name of up to 63 letters, digits and @ . _ : + / - that begins with a letter or digit`,
        'choose another name',
      );
    }
    const meaning = reservedMeaning(name);
    if (meaning === undefined || allowsReservedNames) continue;
    throw refusal(
      user,
      `${name} ${meaning}`,
      'choose another name and bind it to a role (kubectl create clusterrolebinding), or say --allow-reserved',
    );
  }
}

/** Undefined for a name that means only what RBAC bindings of the cluster make of it. */
function reservedMeaning(name: string): string | undefined {
  if (name === 'system:masters') return 'may do everything, and no RBAC rule can take that away';
  if (name.startsWith('system:')) return 'is a name of Kubernetes itself, with rights of its own';
  if (name.startsWith('mini-k8s:')) return 'is a group of mini-k8s, with rights of its own';
  if (name === 'mini-k8s') return 'is mini-k8s itself, whose reads are not in the audit log';
  if (name === 'kubernetes-admin') return "is the administrator's name in the audit log";
  return undefined;
}

function refusal(user: string, why: string, fix: string): UserError {
  return new UserError({
    what: `make a kubeconfig for ${JSON.stringify(user.slice(0, 80))}`,
    why,
    fix,
  });
}
