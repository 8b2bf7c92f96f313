import { fillSecrets } from '../base/files.ts';
import { proxySecrets } from '../components/proxy-environment.ts';
import type { ClusterConfig } from '../config/types.ts';
import { readSecret } from '../pki/ensure-secret.ts';
import type { ProcessSpec } from '../supervisor/types.ts';
import { readAuthorization } from './credentials.ts';
import type { NodePlan } from './plan-types.ts';

/** The text that `${secret:NAME}` stands for. Throws for a name that the plan lacks. */
export type SecretReader = (name: string) => string;

/**
 * The secrets of a plan by name: those that were made here, the user's credentials, and proxies with a password.
 * @throws UserError for one that is missing or damaged.
 */
export async function readSecrets(
  plan: Pick<NodePlan, 'pki' | 'credentials'>,
  config: ClusterConfig,
): Promise<SecretReader> {
  const { proxy } = config.spec;
  const secrets = new Map<string, string>([
    [proxySecrets.HTTP_PROXY, proxy.http],
    [proxySecrets.HTTPS_PROXY, proxy.https],
  ]);
  for (const secret of plan.pki.secrets) secrets.set(secret.name, await readSecret(secret));
  for (const { name, file } of plan.credentials) secrets.set(name, await readAuthorization(file));
  return (name) => {
    const secret = secrets.get(name);
    if (secret === undefined)
      throw new Error(`something refers to the secret ${name}, which the plan lacks`);
    return secret;
  };
}

/** A process as it is started: with the secrets in its environment. */
export function fillProcess(spec: ProcessSpec, secretOf: SecretReader): ProcessSpec {
  const env = Object.entries(spec.env).map(([name, value]) => [name, fillSecrets(value, secretOf)]);
  return { ...spec, env: Object.fromEntries(env) };
}
