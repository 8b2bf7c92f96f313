import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign,
  verify,
} from 'node:crypto';
import { errorMessage, UserError } from '../base/errors.ts';
import { canonicalJson } from './canonical-json.ts';

/** One signature of a bundle. */
export interface BundleSignature {
  /** The public key as a person passes it on: `ed25519:<base64>`. */
  readonly key: string;
  /** Base64. */
  readonly signature: string;
}

/** A new key pair: the private half as PEM (PKCS #8), the public one as `ed25519:<base64>`. */
export function generateSigningKey(): { readonly privatePem: string; readonly publicText: string } {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  return {
    privatePem: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    publicText: renderPublicKey(publicKey),
  };
}

/**
 * Signs an index.json, which has the digest of everything in its bundle.
 * @param privatePem An ed25519 key in PEM. @throws UserError for another one.
 */
export function signIndex(indexSha256: string, privatePem: string): BundleSignature {
  const key = readKey(privatePem, createPrivateKey);
  return {
    key: renderPublicKey(createPublicKey(key)),
    signature: sign(null, signedText(indexSha256), key).toString('base64'),
  };
}

/** The file that goes into the bundle; a newer signature takes the place of an older one by the same key. */
export function addSignature(existing: string | undefined, added: BundleSignature): string {
  const others = parseSignatures(existing).filter(({ key }) => key !== added.key);
  return canonicalJson({ signatures: [...others, added] });
}

/** Of what is no list of signatures nothing is known: it counts as none. */
export function parseSignatures(text: string | undefined): readonly BundleSignature[] {
  try {
    const document = JSON.parse(text ?? '{}') as { readonly signatures?: unknown } | null;
    const signatures = document?.signatures;
    return Array.isArray(signatures) ? signatures.filter(isSignature) : [];
  } catch (error) {
    if (error instanceof SyntaxError) return [];
    throw error;
  }
}

/**
 * Why a bundle is not signed by this key, or undefined when it is.
 * @param key `ed25519:<base64>`, of `readPublicKey`.
 */
export function findSignatureProblem(
  bundle: { readonly indexSha256: string; readonly signatures: string | undefined },
  key: string,
): string | undefined {
  const signatures = parseSignatures(bundle.signatures);
  const [first] = signatures;
  if (first === undefined) return 'it is not signed';
  const own = signatures.find((signature) => signature.key === key);
  if (own === undefined) {
    return `it is signed by ${signatures.map((other) => other.key).join(', ')}, not by ${key}`;
  }
  const signature = Buffer.from(own.signature, 'base64');
  const isValid = verify(null, signedText(bundle.indexSha256), toPublicKey(key), signature);
  return isValid ? undefined : `its signature by ${key} is of another index.json: it was changed`;
}

/** A public key in either of its forms, PEM or `ed25519:<base64>`, as the latter. @throws UserError. */
export function readPublicKey(text: string): string {
  const trimmed = text.trim();
  if (trimmed.startsWith(prefix)) {
    return renderPublicKey(readKey(trimmed, toPublicKey));
  }
  if (trimmed.includes('PRIVATE KEY')) {
    throw new UserError({
      what: 'read the public key',
      why: 'it is a private key, which belongs only on the machine that signs',
      fix: 'give what mini-k8s bundle key printed, or openssl pkey -pubout -in that key',
    });
  }
  return renderPublicKey(readKey(trimmed, createPublicKey));
}

const prefix = 'ed25519:';

/** DER of an ed25519 public key up to the 32 bytes of the key itself. @see https://www.rfc-editor.org/rfc/rfc8410#section-4 */
const spkiPrefix = Buffer.from('302a300506032b6570032100', 'hex');

/** Says what is signed, so that no signature of anything else can be passed off as one of a bundle. */
function signedText(indexSha256: string): Buffer {
  return Buffer.from(`mini-k8s bundle\nindex.json sha256:${indexSha256}\n`);
}

function toPublicKey(text: string): KeyObject {
  const raw = Buffer.from(text.slice(prefix.length), 'base64');
  if (raw.length !== 32) throw new Error(`it has ${raw.length} bytes instead of 32`);
  const key = Buffer.concat([spkiPrefix, raw]);
  return createPublicKey({ key, format: 'der', type: 'spki' });
}

function renderPublicKey(key: KeyObject): string {
  const der = key.export({ type: 'spki', format: 'der' });
  return `${prefix}${der.subarray(spkiPrefix.length).toString('base64')}`;
}

function readKey(text: string, parse: (text: string) => KeyObject): KeyObject {
  const what = 'read the key';
  const fix = 'mini-k8s bundle key makes one that fits';
  try {
    const key = parse(text);
    if (key.asymmetricKeyType === 'ed25519') return key;
    const why = `it is an ${key.asymmetricKeyType} key, not an ed25519 one`;
    throw new UserError({ what, why, fix });
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw new UserError({ what, why: errorMessage(error), fix, cause: error });
  }
}

function isSignature(value: unknown): value is BundleSignature {
  if (typeof value !== 'object' || value === null) return false;
  const { key, signature } = value as Record<string, unknown>;
  return typeof key === 'string' && typeof signature === 'string';
}
