import { createPublicKey, generateKeyPairSync } from 'node:crypto';
import { UserError } from '../base/errors.ts';
import { findAuthority } from './ensure-authority.ts';
import { refuseInvalidAuthority } from './ensure-leaf.ts';
import type { AuthoritySpec } from './types.ts';

export interface ClientCertificateOptions {
  /** Whose files must be there; nothing is made of them. */
  readonly authority: AuthoritySpec;
  readonly commonName: string;
  readonly organizations: readonly string[];
  /** From now; the certificate ends with its authority at the latest. */
  readonly ttlMs: number;
  /** Must be right: issue only behind the clock gate. */
  readonly nowMs: number;
}

/** A client's certificate and key, which are nowhere but here. PEM. */
export interface ClientCredentials {
  readonly certData: string;
  /** A secret. */
  readonly keyData: string;
  /** PEM of the authority. */
  readonly caData: string;
  /** Milliseconds since the epoch. */
  readonly notAfterMs: number;
}

const dayMs = 86_400_000;

/**
 * Makes a key and a client certificate for it, and writes nothing.
 * @throws UserError when the authority is missing, damaged or not valid now.
 */
export async function issueClientCertificate(
  options: ClientCertificateOptions,
): Promise<ClientCredentials> {
  const { commonName, organizations, nowMs, ttlMs } = options;
  const found = await findAuthority(options.authority, []);
  if (found.type !== 'complete') {
    throw new UserError({
      what: `issue a certificate for ${commonName}`,
      why: `the certificate authority ${options.authority.certFile} is missing`,
      fix: 'start the controller, which makes it again from its key',
    });
  }
  const { authority } = found;
  refuseInvalidAuthority(
    { name: commonName, authority: options.authority.name },
    { authority, nowMs },
  );
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const { buildLeafCertificate } = await import('./certificate-builder.ts');
  const certData = buildLeafCertificate({
    subject: {
      ...{ commonName, organizations, usage: 'client', ttlDays: ttlMs / dayMs },
      ...{ dnsNames: [], ipAddresses: [] },
    },
    publicKey: createPublicKey(privateKey),
    authority,
    nowMs,
  });
  return {
    certData,
    keyData: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    caData: authority.certificate.toString(),
    notAfterMs: Math.min(nowMs + ttlMs, authority.certificate.validToDate.getTime()),
  };
}
