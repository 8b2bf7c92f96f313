import { readFile } from 'node:fs/promises';
import { readBundleHead } from '../artifacts/bundle-head.ts';
import { findSignatureProblem, readPublicKey } from '../artifacts/bundle-signature.ts';
import { componentVersion, isComponentName } from '../artifacts/catalog.ts';
import { entryContent } from '../artifacts/oci-documents.ts';
import type { Architecture, OciIndex } from '../artifacts/types.ts';
import { errorMessage, UserError } from '../base/errors.ts';

/** What is said on a command line about a bundle. */
export interface GivenBundle {
  /** A directory, a `.tar` or a `.tar.zst`. */
  readonly bundle?: string;
  /** sha256 in hex of its index.json. */
  readonly trustBundle?: string;
  /** `ed25519:<base64>`, or a file with that or with a public key in PEM. */
  readonly requireSignature?: string;
}

/** A bundle whose signature was verified where that is wanted. */
export interface CheckedBundle {
  readonly path: string;
  /** Its index.json as it was read for the check: nobody has to read the beginning of the bundle again. */
  readonly index: OciIndex;
  readonly trustBundle?: string;
  /** Nothing else may be accepted by now. */
  readonly requiresTrust: boolean;
}

/**
 * Looks at the beginning of the bundle, before anything is changed. One that is signed by the required key needs no
 * other trust.
 * @param fits Left out: for whatever machine it is.
 * @returns undefined when none was given.
 * @throws UserError when it is not signed by the key, or of no use to a machine of that architecture.
 */
export async function checkBundle(
  given: GivenBundle,
  signal: AbortSignal,
  fits?: { readonly arch: Architecture },
): Promise<CheckedBundle | undefined> {
  const { bundle: path, trustBundle, requireSignature } = given;
  if (path === undefined) {
    if (requireSignature !== undefined) throw nothingToCheck();
    return undefined;
  }
  const key = requireSignature === undefined ? undefined : await readKey(requireSignature);
  const what = `import ${path}`;
  const head = await readBundleHead(path, { what, needsSignatures: key !== undefined, signal });
  const misfit = fits === undefined ? undefined : findMisfit(head.index, fits.arch);
  if (misfit !== undefined) {
    const fix = 'make one with this mini-k8s: mini-k8s bundle create --out bundle.tar.zst';
    throw new UserError({ what, why: misfit, fix });
  }
  const bundle = { path, index: head.index };
  if (key === undefined) {
    return {
      ...bundle,
      requiresTrust: false,
      ...(trustBundle === undefined ? {} : { trustBundle }),
    };
  }
  const why = findSignatureProblem(head, key);
  if (why !== undefined) {
    const fix = 'get the bundle again from where it was signed, or check the key';
    throw new UserError({ what, why, fix });
  }
  return { ...bundle, trustBundle: head.indexSha256, requiresTrust: true };
}

/** Why nothing of its components can be used here; undefined when something can, or it has none. Pure. */
export function findMisfit(index: OciIndex, arch: Architecture): string | undefined {
  const components = index.manifests
    .map(entryContent)
    .filter((content) => content.kind === 'component')
    .flatMap((content) =>
      isComponentName(content.name) ? [{ ...content, name: content.name }] : [],
    );
  const [first] = components;
  if (first === undefined) return undefined;
  const sameArch = components.filter((component) => component.arch === arch);
  if (sameArch.length === 0) {
    const others = [...new Set(components.map((component) => component.arch))].join(' and ');
    return `it is for ${others}, and this is for ${arch}`;
  }
  if (sameArch.some(({ name, version }) => version === componentVersion(name))) return undefined;
  const versions = sameArch.map(({ name, version }) => `${name} ${version}`).join(', ');
  const ours = sameArch.map(({ name }) => `${name} ${componentVersion(name)}`).join(', ');
  return `it has ${versions}, and this mini-k8s runs ${ours}`;
}

/** The public key that an option names. @throws UserError. */
export async function readKey(option: string): Promise<string> {
  if (option.startsWith('ed25519:')) return readPublicKey(option);
  try {
    return readPublicKey(await readFile(option, 'utf8'));
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw new UserError({
      what: 'read the key of --require-signature',
      why: errorMessage(error),
      fix: 'give ed25519:… as mini-k8s bundle key printed it, or a file with a public key',
      cause: error,
    });
  }
}

function nothingToCheck(): UserError {
  return new UserError({
    what: 'require a signature',
    why: '--require-signature is about a bundle, and --bundle is not given',
    fix: 'add --bundle, or leave --require-signature out',
  });
}
