import { getCACertificates } from 'node:tls';

/** PEM of every CA that a TLS client of this machine trusts: Node.js' own list and what the operator installed. */
export function machineAuthorities(): string[] {
  return [...getCACertificates('default'), ...getCACertificates('system')];
}
