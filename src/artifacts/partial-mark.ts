import { rm } from 'node:fs/promises';
import { readTextIfExists, writeFileAtomic } from '../base/files.ts';
import { partialPath } from './blobs.ts';

/** What a server said of a file of which the beginning is there: beside the partial blob, for the next process. */
export interface PartialMark {
  known(): ServerMark | undefined;
  remember(mark: ServerMark): Promise<void>;
  remove(): Promise<void>;
}

interface ServerMark {
  /** Its name: another server's validator says nothing. */
  readonly server: string;
  /** A strong ETag or a date, as `If-Range` takes it. */
  readonly validator?: string;
  /** Of the whole file, bytes. */
  readonly size?: number;
}

export async function openPartialMark(
  layoutDirectory: string,
  digest: string,
): Promise<PartialMark> {
  const file = `${partialPath(layoutDirectory, digest)}.mark`;
  let known = parseMark(await readTextIfExists(file));
  return {
    known: () => known,
    remember: async (mark) => {
      known = mark;
      await writeFileAtomic(file, `${JSON.stringify(mark)}\n`);
    },
    remove: async () => {
      known = undefined;
      await rm(file, { force: true });
    },
  };
}

/** Undefined for what is none: the file is only a help. */
function parseMark(text: string | undefined): ServerMark | undefined {
  try {
    const { server, validator, size } = JSON.parse(text ?? '{}') as Record<string, unknown>;
    if (typeof server !== 'string') return undefined;
    return {
      server,
      ...(typeof validator === 'string' ? { validator } : {}),
      ...(typeof size === 'number' && Number.isSafeInteger(size) && size > 0 ? { size } : {}),
    };
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
