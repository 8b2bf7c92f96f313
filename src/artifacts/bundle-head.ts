import { UserError } from '../base/errors.ts';
import { hashBytes } from './blobs.ts';
import { readBundleFiles } from './bundle-files.ts';
import { maxDocumentBytes, parseIndex } from './oci-documents.ts';
import type { TarFile } from './tar-entries.ts';
import type { OciIndex } from './types.ts';

/** What a bundle says of itself, without its blobs. */
export interface BundleHead {
  readonly index: OciIndex;
  /** Of index.json in hex: what `--trust-bundle` names and signatures are of. */
  readonly indexSha256: string;
  /** Text of the file with the signatures; undefined when there is none. */
  readonly signatures: string | undefined;
}

export interface ReadHeadOptions {
  /** The act, for messages: `import /media/usb/bundle.tar.zst`. */
  readonly what: string;
  /** In an archive of somebody else's they may come after all blobs. */
  readonly needsSignatures: boolean;
  readonly signal: AbortSignal;
}

/** Signatures of index.json, which has the digest of everything else. Other tools pass the file over. */
export const signaturesFile = 'mini-k8s-signatures.json';

/** Reads the beginning of a bundle, as far as it must. @throws UserError. */
export async function readBundleHead(
  bundle: string,
  options: ReadHeadOptions,
): Promise<BundleHead> {
  let index: Buffer | undefined;
  let signatures: string | undefined;
  await readBundleFiles(bundle, {
    ...options,
    onFile: async (file) => {
      if (file.path === 'index.json') index = await readDocument(file, options.what);
      else if (file.path === signaturesFile) {
        signatures = (await readDocument(file, options.what)).toString('utf8');
      }
      const isIndexEnough = !options.needsSignatures || signatures !== undefined;
      return index !== undefined && isIndexEnough ? 'enough' : undefined;
    },
  });
  if (index === undefined) {
    throw new UserError({
      what: options.what,
      why: 'it has no index.json',
      fix: 'give a bundle: a directory, .tar or .tar.zst with an OCI image layout',
    });
  }
  return {
    index: parseIndex(index.toString('utf8'), `${bundle} (index.json)`),
    indexSha256: hashBytes(index).digest.slice('sha256:'.length),
    signatures,
  };
}

/** A file of a bundle that is read into memory. @throws UserError when it is too large for that. */
export async function readDocument(file: TarFile, what: string): Promise<Buffer> {
  if (file.sizeBytes > maxDocumentBytes) {
    throw new UserError({
      what,
      why: `${file.path} has ${file.sizeBytes} bytes, more than ${maxDocumentBytes}`,
    });
  }
  const chunks: Buffer[] = [];
  // Copies: the reader uses its buffer again.
  for await (const chunk of file.content) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks);
}
