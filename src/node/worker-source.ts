import { readFile } from 'node:fs/promises';
import { createControllerSource } from '../artifacts/controller-source.ts';
import type { ControllerSourceOptions } from '../artifacts/controller-source-session.ts';
import type { ArtifactSource } from '../artifacts/types.ts';
import { errorMessage } from '../base/errors.ts';
import type { Logger } from '../base/logger.ts';
import type { ProxySettings } from '../base/proxy-settings.ts';
import { refreshDocument } from '../join/join-client.ts';
import type { JoinDocument, JoinRequest } from '../join/types.ts';
import type { StoredMembership } from './membership.ts';
import { gatewayClient } from './refresh-document.ts';

type SourceParts = Pick<
  ControllerSourceOptions,
  'store' | 'onEvent' | 'random' | 'credentials' | 'timing' | 'clock'
>;

export interface WorkerSourceOptions extends SourceParts {
  readonly stored: StoredMembership;
  /** Just received: nothing can be newer. */
  readonly isFresh: boolean;
  readonly request: () => Promise<JoinRequest>;
  /** Keeps a newer document for the next start. */
  readonly keep: (stored: StoredMembership) => Promise<void>;
  readonly proxy: ProxySettings | undefined;
  readonly logger: Logger;
}

/**
 * A worker's controllers as a source. The join document that the worker has may be of before their upgrade, and name
 * digests that they do not have any more: it asks for the present one first, and only when it lacks something.
 */
export function workerSource(options: WorkerSourceOptions): ArtifactSource {
  const { document } = options.stored;
  return {
    mayFail: true,
    description: `controllers ${document.gateways.join(', ')}`,
    provide: async (artifacts, signal) => {
      const newest = options.isFresh ? document : await askForNewest(options, signal);
      const source = createControllerSource({
        ...options,
        controllers: newest?.gateways ?? document.gateways,
        ca: document.ca,
        dial: gatewayClient(options).dial,
        // With digests that may be outdated, the tag is the better question.
        offered: newest?.artifacts ?? [],
      });
      return await source.provide(artifacts, signal);
    },
  };
}

/** Undefined when nobody answers, or there is no certificate to ask with yet. */
async function askForNewest(
  options: WorkerSourceOptions,
  signal: AbortSignal,
): Promise<JoinDocument | undefined> {
  const { stored, credentials, logger } = options;
  if (credentials.kind !== 'certificate') return undefined;
  const { ca, gateways } = stored.document;
  try {
    const [cert, key] = await Promise.all([
      readFile(credentials.certFile, 'utf8'),
      readFile(credentials.keyFile, 'utf8'),
    ]);
    const membership = { ca, gateways, cert, key };
    const request = await options.request();
    const client = gatewayClient(options);
    const { document } = await refreshDocument(membership, request, client, signal);
    await options.keep({ ...stored, document });
    return document;
  } catch (error) {
    signal.throwIfAborted();
    logger.info(`join document: ${errorMessage(error)}`);
    return undefined;
  }
}
