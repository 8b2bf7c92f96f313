import { reservedDomain } from '../base/gateway-names.ts';
import type { PeerCertificate } from '../base/http-route.ts';

/** kubelet also makes it the value of the label `kubernetes.io/hostname`, which holds 63 characters. */
const maxNameLength = 63;

/** Why a machine cannot be a node by this name; undefined when it can. */
export function nodeNameProblem(name: string): string | undefined {
  const dnsSubdomain = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
  if (!dnsSubdomain.test(name)) {
    return 'is not a node name: lower-case letters, digits, "-" and ".", beginning and ending with a letter or digit';
  }
  if (name.length > maxNameLength) return `is longer than ${maxNameLength} characters`;
  if (`.${name}`.endsWith(reservedDomain)) return `ends with ${reservedDomain}, which is reserved`;
  return undefined;
}

/**
 * The node that a client certificate is of: its organization is `system:nodes` and nothing else, its common name
 * `system:node:<name>`. Undefined for any other.
 * @see https://kubernetes.io/docs/reference/access-authn-authz/node/
 */
export function nodeNameOf(
  certificate: Pick<PeerCertificate, 'commonName' | 'organizations'>,
): string | undefined {
  const prefix = 'system:node:';
  const { commonName, organizations } = certificate;
  if (organizations.length !== 1 || organizations[0] !== 'system:nodes') return undefined;
  if (!commonName.startsWith(prefix)) return undefined;
  const name = commonName.slice(prefix.length);
  return nodeNameProblem(name) === undefined ? name : undefined;
}
