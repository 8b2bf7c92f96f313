import { randomBytes } from 'node:crypto';
import { UserError } from '../base/errors.ts';
import { ensureAccess, privateMode, readPkiFile, writePkiFile } from './pki-files.ts';
import type { SecretSpec } from './types.ts';

/**
 * The base64 text of a secret that exists.
 * @throws UserError when it is missing or damaged. The text is in no error.
 */
export async function readSecret(spec: SecretSpec): Promise<string> {
  const secret = await findSecret(spec);
  if (secret !== undefined) return secret;
  throw refusal(spec, `${spec.file} is missing`);
}

/**
 * Reads a secret and writes nothing; undefined when there is no file.
 * @throws UserError when it is damaged: what was encrypted with it would be lost with a new one.
 */
export async function findSecret(spec: SecretSpec): Promise<string | undefined> {
  const content = await readPkiFile(spec.file);
  if (content === undefined) return undefined;
  // an editor may have added the line break
  const text = content.replace(/\r?\n$/, '');
  const bytes = Buffer.from(text, 'base64');
  if (bytes.toString('base64') !== text) throw refusal(spec, `${spec.file} is not base64`);
  if (bytes.length === spec.bytes) return text;
  throw refusal(spec, `${spec.file} holds ${bytes.length} bytes instead of ${spec.bytes}`);
}

/** Makes the file when there was none. Returns whether it did. */
export async function completeSecret(
  spec: SecretSpec,
  found: string | undefined,
): Promise<boolean> {
  if (found === undefined) {
    await writePkiFile(spec.file, randomBytes(spec.bytes).toString('base64'), {
      mode: privateMode,
    });
  }
  await ensureAccess(spec.file, { mode: privateMode });
  return found === undefined;
}

function refusal(spec: SecretSpec, why: string): UserError {
  return new UserError({
    what: `use the secret ${spec.name}`,
    why,
    fix: `restore ${spec.file} from a backup`,
  });
}
