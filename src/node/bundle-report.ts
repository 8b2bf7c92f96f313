import { readFile, writeFile } from 'node:fs/promises';
import type { BundleHead } from '../artifacts/bundle-head.ts';
import {
  findSignatureProblem,
  generateSigningKey,
  parseSignatures,
} from '../artifacts/bundle-signature.ts';
import { signBundle } from '../artifacts/sign-bundle.ts';
import { type BundleEntry, listBundle, verifyBundle } from '../artifacts/verify-bundle.ts';
import { errorCode, errorMessage, UserError } from '../base/errors.ts';
import type { Clock } from '../base/time.ts';
import { isUnwritable } from './bundle-target.ts';
import type { NodeEvent } from './events.ts';
import { readKey } from './given-bundle.ts';

/** A bundle as a person or a program reads it. */
export interface BundleReport {
  readonly path: string;
  /** What `--trust-bundle` takes. */
  readonly indexSha256: string;
  /** Public keys whose signatures are valid: `ed25519:…`. */
  readonly signedBy: readonly string[];
  readonly entries: readonly BundleEntry[];
}

/** What is in a bundle, by what it says of itself. Changes nothing. @throws UserError when it is none. */
export async function inspectBundle(path: string, signal: AbortSignal): Promise<BundleReport> {
  const { head, entries } = await listBundle(path, signal);
  return { path, ...describeHead(head), entries };
}

export interface VerificationReport extends BundleReport {
  readonly blobs: number;
  readonly sizeBytes: number;
  readonly elapsedMs: number;
  /** Empty when all is well. */
  readonly problems: readonly string[];
}

export interface VerifyOptions {
  /** Without it a signature is no matter. */
  readonly requireSignature?: string;
  readonly clock: Clock;
  readonly onEvent: (event: NodeEvent) => void;
}

/** Reads everything in a bundle and compares it with its sha256, and with the signature. Changes nothing. */
export async function verifyGivenBundle(
  path: string,
  options: VerifyOptions,
  signal: AbortSignal,
): Promise<VerificationReport> {
  const { requireSignature, clock, onEvent } = options;
  const startedAt = clock.now();
  const key = requireSignature === undefined ? undefined : await readKey(requireSignature);
  const { head, ...found } = await verifyBundle(path, {
    signal,
    onProgress: (doneBytes, totalBytes) =>
      onEvent({ type: 'import-progress', source: path, doneBytes, totalBytes }),
  });
  const problem = key === undefined ? undefined : findSignatureProblem(head, key);
  return {
    ...{ path, ...describeHead(head), ...found },
    problems: [...(problem === undefined ? [] : [problem]), ...found.problems],
    elapsedMs: clock.now() - startedAt,
  };
}

/** Signs with the private key in a file. @returns the public key, and what was signed. @throws UserError. */
export async function signGivenBundle(
  path: string,
  keyFile: string,
  signal: AbortSignal,
): Promise<{ readonly key: string; readonly indexSha256: string }> {
  const privatePem = await readPrivateKey(keyFile);
  try {
    const { key, indexSha256 } = await signBundle(path, privatePem, signal);
    return { key, indexSha256 };
  } catch (error) {
    if (!isUnwritable(error)) throw error;
    throw new UserError({
      what: `sign the bundle ${path}`,
      why: errorMessage(error),
      fix: 'copy it to a directory that may be written to and has room for it',
      cause: error,
    });
  }
}

/** Writes a new private key into a file that is not there yet. @returns the public one. @throws UserError. */
export async function createSigningKey(file: string): Promise<string> {
  const { privatePem, publicText } = generateSigningKey();
  try {
    await writeFile(file, privatePem, { flag: 'wx', mode: 0o600 });
  } catch (error) {
    throw new UserError({
      what: `write a new key into ${file}`,
      why: errorCode(error) === 'EEXIST' ? 'there is something already' : errorMessage(error),
      fix: 'give --out the name of a new file',
      cause: error,
    });
  }
  return publicText;
}

async function readPrivateKey(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    throw new UserError({
      what: `read the key ${file}`,
      why: errorMessage(error),
      fix: 'make one with mini-k8s bundle key --out FILE',
      cause: error,
    });
  }
}

function describeHead(head: BundleHead): Pick<BundleReport, 'indexSha256' | 'signedBy'> {
  const keys = parseSignatures(head.signatures).map(({ key }) => key);
  const signedBy = keys.filter((key) => findSignatureProblem(head, key) === undefined);
  return { indexSha256: head.indexSha256, signedBy };
}
