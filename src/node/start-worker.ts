import type { ProxySettings } from '../base/proxy-settings.ts';
import { pathsFor } from '../config/paths.ts';
import { parseJoinToken } from '../join/token.ts';
import type { JoinDocument } from '../join/types.ts';
import { awaitNetwork } from './await-network.ts';
import { ensureMembership } from './ensure-membership.ts';
import type { NodeEvent } from './events.ts';
import { type CheckedBundle, checkBundle } from './given-bundle.ts';
import { machineArch } from './host-facts.ts';
import { readLocalConfig } from './local-config.ts';
import { type StoredMembership, writeMembership } from './membership.ts';
import { checkOwnSettings } from './own-settings.ts';
import {
  checkDataDirectory,
  checkMachine,
  requireNoControlPlane,
  requireRoot,
} from './preflight.ts';
import type { PreparedNode } from './prepare.ts';
import { inspectWorker, ownName, prepareWorker, type WorkerSettings } from './prepare-worker.ts';
import {
  type RealiseOptions,
  realiseComponents,
  realiseMachine,
  type SourceParts,
} from './realise.ts';
import { restorePodNetwork } from './reconcilers.ts';
import { describeMachine } from './refresh-document.ts';
import { runGuarded, runUnderLock, type StartOptions } from './start.ts';
import { startTime } from './start-time.ts';
import { superviseWorker } from './supervise-worker.ts';
import { workerSource } from './worker-source.ts';

export interface WorkerOptions extends StartOptions, WorkerSettings {
  /** A join token's text. Not needed, and not used, by a node that is a member already. */
  readonly token?: string;
  /**
   * Called when components were downloaded: the worker ends then, and shall be started again without the token. A
   * download leaves 6 to 11 MiB of this process's heap in pieces, for as long as it runs.
   */
  readonly endAfterDownload?: () => void;
}

/**
 * Runs a worker until the signal aborts. A machine that has joined needs no network for it.
 * @throws UserError or UserErrors when it cannot join or start; a component that fails later is only reported.
 */
export function runWorker(options: WorkerOptions, signal: AbortSignal): Promise<void> {
  return runGuarded(options, signal, startWorker);
}

async function startWorker(options: WorkerOptions, signal: AbortSignal): Promise<void> {
  const started = startTime(options.clock);
  requireRoot('start the worker');
  const checkedBundle = await checkBundle(options, signal, { arch: machineArch() });
  await awaitNetwork(pathsFor(options), options, signal);
  await withPreparedWorker(
    { ...options, checkedBundle, command: 'worker' },
    signal,
    async (prepared) => {
      const { node, realise, document, proxy } = prepared;
      let hasDownloaded = false;
      const onEvent = (event: NodeEvent) => {
        hasDownloaded ||= event.type === 'import-finished' && event.blobs > 0;
        options.onEvent(event);
      };
      await realiseComponents(node.plan, { ...realise, onEvent });
      if (hasDownloaded && options.endAfterDownload !== undefined)
        return options.endAfterDownload();
      await realiseMachine(node.plan, realise);
      await restorePodNetwork(node.plan);
      await superviseWorker(node, { ...options, started, document, proxy }, signal);
    },
  );
}

/**
 * Joins, unless this machine has joined, and brings what the worker needs, so that its service starts without a token.
 * @throws UserError or UserErrors for whatever would keep it from starting.
 */
export async function provideWorker(options: WorkerOptions, signal: AbortSignal): Promise<void> {
  const checkedBundle = await checkBundle(options, signal, { arch: machineArch() });
  await withPreparedWorker({ ...options, checkedBundle, command: 'install' }, signal, (prepared) =>
    realiseComponents(prepared.node.plan, prepared.realise),
  );
}

interface PreparedWorker {
  readonly node: PreparedNode;
  readonly document: JoinDocument;
  readonly proxy: ProxySettings | undefined;
  readonly realise: RealiseOptions;
}

/** Takes the machine, makes it a member where it is none, and plans. */
async function withPreparedWorker(
  options: WorkerOptions & {
    readonly checkedBundle: CheckedBundle | undefined;
    readonly command: string;
  },
  signal: AbortSignal,
  work: (prepared: PreparedWorker) => Promise<void>,
): Promise<void> {
  const token = options.token === undefined ? undefined : parseJoinToken(options.token);
  await checkOwnSettings(options);
  const local = await readLocalConfig(options);
  const { proxy } = local;
  const machine = await inspectWorker(options);
  await checkDataDirectory(machine.paths);
  await runUnderLock(machine.paths, options, signal, async () => {
    await requireNoControlPlane(machine.paths);
    const prepare = async (stored: StoredMembership) => {
      const node = await prepareWorker(machine, stored, options);
      await checkMachine(node, 'before', signal);
      await checkMachine(node, 'locked', signal);
      return node;
    };
    const check = async (stored: StoredMembership) => void (await prepare(stored));
    const own = ownName(options, local);
    const joining = { ...options, ...own, joinToken: token, proxy, check };
    const member = await ensureMembership(machine, joining, signal);
    const { document } = member.stored;
    const node = await prepare(member.stored);
    const realise = {
      ...options,
      ...node,
      bundle: options.checkedBundle,
      signal,
      moreSources: (parts: SourceParts) => [
        workerSource({
          ...{ ...options, ...parts, ...member, proxy },
          request: () => describeMachine(node.host, { ...node.plan, version: options.version }),
          keep: (stored) => writeMembership(node.paths, stored),
          random: Math.random,
        }),
      ],
    };
    await work({ node, document, proxy, realise });
  });
}
