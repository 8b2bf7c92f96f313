import { X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createSecureContext, type SecureContextOptions } from 'node:tls';
import { errorMessage } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';

/** PEM files. The certificate's ends with the CA's, in which clients find the pin of their token. */
export interface TlsFiles {
  readonly certFile: string;
  readonly keyFile: string;
  /** The authority of the clients. */
  readonly caFile: string;
}

export interface TlsContext extends SecureContextOptions {
  /** Of the server's certificate; milliseconds since the epoch. */
  readonly notAfterMs: number;
}

/** @throws when a file is missing, unreadable, or certificate and key do not belong together. */
export async function readTlsContext(files: TlsFiles): Promise<TlsContext> {
  return toContext(await readAll(files));
}

export interface KeepTlsContextOptions {
  readonly files: TlsFiles;
  readonly logger: Logger;
  readonly intervalMs: number;
  readonly onChange: (context: TlsContext) => void;
}

/**
 * Tells of new certificates on the disk, until the returned function is called. Files that do not fit, as in the
 * moment between the writing of two, are tried again.
 */
export function keepTlsContext(options: KeepTlsContextOptions): () => void {
  const { files, logger, intervalMs, onChange } = options;
  let shown: string | undefined;
  let lastFailure = '';
  let isStopped = false;
  const look = async () => {
    try {
      const texts = await readAll(files);
      const seen = Object.values(texts).join('');
      if (isStopped || shown === seen) return;
      const isFirst = shown === undefined;
      const context = toContext(texts);
      shown = seen;
      lastFailure = '';
      if (!isFirst) onChange(context);
    } catch (error) {
      const failure = errorMessage(error);
      if (failure !== lastFailure) logger.warn(`gateway keeps its certificate: ${failure}`);
      lastFailure = failure;
    }
  };
  void look();
  const timer = setInterval(() => void look(), intervalMs);
  return () => {
    isStopped = true;
    clearInterval(timer);
  };
}

interface TlsTexts {
  readonly cert: string;
  readonly key: string;
  readonly ca: string;
}

async function readAll({ certFile, keyFile, caFile }: TlsFiles): Promise<TlsTexts> {
  const read = (file: string) => readFile(file, 'utf8');
  const [cert, key, ca] = await Promise.all([read(certFile), read(keyFile), read(caFile)]);
  return { cert, key, ca };
}

function toContext(texts: TlsTexts): TlsContext {
  const context = { ...texts, minVersion: 'TLSv1.3' } as const;
  createSecureContext(context);
  return { ...context, notAfterMs: new X509Certificate(texts.cert).validToDate.getTime() };
}
