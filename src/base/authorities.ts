import { readFileSync } from 'node:fs';
import { getCACertificates } from 'node:tls';
import { errorCode } from './errors.ts';

/**
 * Where distributions keep all CAs that their TLS clients trust, an operator's own included, in one file.
 * @see https://go.dev/src/crypto/x509/root_linux.go the same list in another program
 */
const bundleFiles = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/ssl/ca-bundle.pem',
];

/**
 * PEM of every CA that a TLS client of this machine trusts; Node.js' own list where the machine has none. Not
 * `getCACertificates('system')`: that parses each certificate two to four times and keeps them all, 8 MB in every
 * process that asks.
 */
export function machineAuthorities(): string[] {
  for (const file of [process.env['SSL_CERT_FILE'] ?? '', ...bundleFiles]) {
    const bundle = readIfThere(file);
    if (bundle?.includes('-----BEGIN CERTIFICATE-----') === true) return [bundle];
  }
  return getCACertificates('default');
}

function readIfThere(file: string): string | undefined {
  if (file === '') return undefined;
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if (['ENOENT', 'ENOTDIR', 'EACCES'].includes(errorCode(error) ?? '')) return undefined;
    throw error;
  }
}
