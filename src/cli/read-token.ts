import { readFile } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { errorCode, UserError } from '../base/errors.ts';

export interface TokenSources {
  readonly token: string | undefined;
  readonly tokenFile: string | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly stdin: Readable;
  /** False on a machine that has joined: its unit may still name a file that was taken away, as it should be. */
  readonly isNeeded: () => Promise<boolean>;
}

/** More than this is no token, bytes. */
const maxTokenBytes = 4096;

/**
 * The token's text from the option, the file, stdin (`-`) or `MINI_K8S_TOKEN`; undefined when there is none.
 * @throws UserError for two at once, an empty one, or a file that cannot be read. No text of it is in an error.
 */
export async function readTokenText(sources: TokenSources): Promise<string | undefined> {
  const { token, tokenFile, env, stdin } = sources;
  if (token !== undefined && tokenFile !== undefined) {
    throw unusable('both --token and --token-file are given', 'give one of them');
  }
  if (tokenFile !== undefined) {
    const text = await readTokenFile(tokenFile);
    if ((text ?? '').trim() === '' && !(await sources.isNeeded())) return undefined;
    if (text !== undefined) return nonEmpty(text, tokenFile);
    throw unusable(`${tokenFile}: there is no such file`, otherFile);
  }
  if (token === '-') return nonEmpty(await readAll(stdin), 'stdin');
  if (token !== undefined) return nonEmpty(token, '--token');
  const fromEnvironment = env['MINI_K8S_TOKEN'];
  return fromEnvironment === undefined ? undefined : nonEmpty(fromEnvironment, 'MINI_K8S_TOKEN');
}

const otherFile = 'name another file with --token-file';

/** Undefined when there is none. */
async function readTokenFile(file: string): Promise<string | undefined> {
  try {
    return await readFile(file, 'utf8');
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    const known: Record<string, string> = {
      EISDIR: 'it is a directory',
      EACCES: 'permission denied',
    };
    const why = known[errorCode(error) ?? ''];
    if (why === undefined) throw error;
    throw unusable(`${file}: ${why}`, otherFile);
  }
}

async function readAll(stdin: Readable): Promise<string> {
  let text = '';
  for await (const chunk of stdin) {
    text += String(chunk);
    if (text.length > maxTokenBytes) break;
  }
  return text;
}

function nonEmpty(text: string, place: string): string {
  const trimmed = text.trim();
  if (trimmed.length > maxTokenBytes) {
    throw unusable(
      `${place} has more than ${maxTokenBytes} bytes`,
      'give one token and nothing else',
    );
  }
  if (trimmed !== '') return trimmed;
  throw unusable(`${place} is empty`, 'make a token on the controller: mini-k8s token create');
}

function unusable(why: string, fix: string): UserError {
  return new UserError({ what: 'read the token', why, fix });
}
