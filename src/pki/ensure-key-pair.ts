import { createPublicKey, type KeyObject } from 'node:crypto';
import { UserError } from '../base/errors.ts';
import { readPrivateKey } from './certificate-reader.ts';
import { ensureAccess, privateMode, publicMode, readPkiFile, writePkiFile } from './pki-files.ts';
import { createPrivateKeyFile } from './private-key.ts';
import type { KeyPairSpec } from './types.ts';

export type KeyPairFound =
  | { readonly type: 'complete' }
  | { readonly type: 'private-only'; readonly privateKey: KeyObject }
  | { readonly type: 'nothing' };

/**
 * Reads a key pair's files and writes nothing. An unreadable public key is derived again from the private one.
 * @throws UserError when the private key is lost or damaged: a new one would invalidate what the old one signed.
 */
export async function findKeyPair(spec: KeyPairSpec): Promise<KeyPairFound> {
  const privatePem = await readPkiFile(spec.privateKeyFile);
  const publicPem = await readPkiFile(spec.publicKeyFile);
  if (privatePem === undefined) {
    if (publicPem === undefined) return { type: 'nothing' };
    throw refusal(spec, `${spec.privateKeyFile} is missing while ${spec.publicKeyFile} exists`);
  }
  const privateKey = readPrivateKey(privatePem);
  if (privateKey === undefined) {
    throw refusal(spec, `${spec.privateKeyFile} is not a readable ECDSA P-256 private key`);
  }
  const publicKey = publicPem === undefined ? undefined : readPublicKey(publicPem);
  if (publicKey === undefined) return { type: 'private-only', privateKey };
  if (publicKey.equals(createPublicKey(privateKey))) return { type: 'complete' };
  throw refusal(
    spec,
    `${spec.publicKeyFile} is not the public key of ${spec.privateKeyFile}`,
    `restore both files from the same backup, or delete ${spec.publicKeyFile} to have it derived again`,
  );
}

/** Makes what `findKeyPair` did not find, the private key first. Returns whether a key pair was created. */
export async function completeKeyPair(spec: KeyPairSpec, found: KeyPairFound): Promise<boolean> {
  if (found.type !== 'complete') {
    const privateKey =
      found.type === 'private-only'
        ? found.privateKey
        : await createPrivateKeyFile(spec.privateKeyFile, {});
    const pem = createPublicKey(privateKey).export({ type: 'spki', format: 'pem' });
    await writePkiFile(spec.publicKeyFile, pem.toString(), { mode: publicMode });
  }
  await ensureAccess(spec.privateKeyFile, { mode: privateMode });
  await ensureAccess(spec.publicKeyFile, { mode: publicMode });
  return found.type === 'nothing';
}

function readPublicKey(pem: string): KeyObject | undefined {
  // createPublicKey would also take a private key or a certificate
  if (!pem.includes('-----BEGIN PUBLIC KEY-----')) return undefined;
  try {
    return createPublicKey(pem);
  } catch {
    // it only parses; OpenSSL's codes for malformed input differ by version
    return undefined;
  }
}

function refusal(spec: KeyPairSpec, why: string, fix?: string): UserError {
  return new UserError({
    what: `use the key pair ${spec.name}`,
    why,
    fix: fix ?? `restore ${spec.privateKeyFile} from a backup`,
  });
}
