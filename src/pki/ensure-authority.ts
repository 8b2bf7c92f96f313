import { type KeyObject, X509Certificate } from 'node:crypto';
import { UserError } from '../base/errors.ts';
import type { Clock } from '../base/time.ts';
import type { Authority } from './certificate-builder.ts';
import { readCertificates, readPrivateKey } from './certificate-reader.ts';
import { ensureAccess, privateMode, publicMode, readPkiFile, writePkiFile } from './pki-files.ts';
import { createPrivateKeyFile } from './private-key.ts';
import type { AuthoritySpec } from './types.ts';

/** What the disk holds of an authority, and so what there is to do. */
export type AuthorityFound =
  | { readonly type: 'complete'; readonly authority: Authority }
  | { readonly type: 'key-only'; readonly privateKey: KeyObject }
  | { readonly type: 'nothing' };

/**
 * Reads an authority's files and writes nothing.
 * @param leafFiles certificate files that this authority signs: when one exists, a new key would disown it.
 * @throws UserError when the authority is damaged: a new one made silently would cut off the whole cluster.
 */
export async function findAuthority(
  spec: AuthoritySpec,
  leafFiles: readonly string[],
): Promise<AuthorityFound> {
  const keyPem = await readPkiFile(spec.keyFile);
  const certPem = await readPkiFile(spec.certFile);
  // a file of length 0 or of zeros is what a power cut makes of a file without fsync
  const isCertMissing = certPem === undefined || /^[\0\s]*$/.test(certPem);
  if (keyPem === undefined) {
    if (certPem !== undefined) throw keyMissing(spec);
    await refuseOrphans(spec, leafFiles);
    return { type: 'nothing' };
  }
  const privateKey = readPrivateKey(keyPem);
  if (privateKey === undefined) throw keyUnreadable(spec);
  if (isCertMissing) return { type: 'key-only', privateKey };
  return {
    type: 'complete',
    authority: { certificate: matching(spec, certPem, privateKey), privateKey },
  };
}

/** Makes what `findAuthority` did not find: the key first, so that a certificate never stands without one. */
export async function completeAuthority(
  spec: AuthoritySpec,
  found: AuthorityFound,
  clock: Clock,
): Promise<Authority> {
  if (found.type === 'complete') {
    await ensureAccess(spec.keyFile, { mode: privateMode });
    await ensureAccess(spec.certFile, { mode: publicMode });
    return found.authority;
  }
  const privateKey =
    found.type === 'key-only' ? found.privateKey : await createPrivateKeyFile(spec.keyFile, {});
  await ensureAccess(spec.keyFile, { mode: privateMode });
  const { buildAuthorityCertificate } = await import('./certificate-builder.ts');
  const pem = buildAuthorityCertificate({ ...spec, privateKey, nowMs: clock.now() });
  await writePkiFile(spec.certFile, pem, { mode: publicMode });
  return { certificate: new X509Certificate(pem), privateKey };
}

function matching(spec: AuthoritySpec, certPem: string, privateKey: KeyObject): X509Certificate {
  const [certificate, ...others] = readCertificates(certPem) ?? [];
  if (certificate === undefined || others.length > 0) {
    throw refusal(spec, {
      why: `${spec.certFile} does not hold exactly one readable PEM certificate`,
      fix: `restore ${spec.certFile} from a backup, or delete it: it is made again from ${spec.keyFile}`,
    });
  }
  if (!certificate.checkPrivateKey(privateKey)) {
    throw refusal(spec, {
      why: `${spec.keyFile} is not the private key of ${spec.certFile}`,
      fix: 'restore both files from the same backup',
    });
  }
  if (!certificate.ca) {
    throw refusal(spec, {
      why: `${spec.certFile} is not a CA certificate (basicConstraints)`,
      fix: `put a certificate with CA:TRUE for the key ${spec.keyFile} in its place, or delete it to have one made`,
    });
  }
  return certificate;
}

async function refuseOrphans(spec: AuthoritySpec, leafFiles: readonly string[]): Promise<void> {
  for (const file of leafFiles) {
    if ((await readPkiFile(file)) === undefined) continue;
    throw refusal(spec, {
      why: `${spec.certFile} and ${spec.keyFile} are missing, and a certificate was issued before: ${file}`,
      fix: `restore both files from a backup, or run mini-k8s reset to begin a new cluster`,
    });
  }
}

function keyMissing(spec: AuthoritySpec): UserError {
  return refusal(spec, {
    why: `its private key ${spec.keyFile} is missing while ${spec.certFile} exists`,
    fix: `restore ${spec.keyFile} from a backup`,
  });
}

function keyUnreadable(spec: AuthoritySpec): UserError {
  return refusal(spec, {
    why: `${spec.keyFile} is not a readable ECDSA P-256 private key (PEM, not encrypted)`,
    fix: `restore ${spec.keyFile} from a backup`,
  });
}

function refusal(spec: AuthoritySpec, text: { why: string; fix: string }): UserError {
  return new UserError({ what: `use the certificate authority ${spec.name}`, ...text });
}
