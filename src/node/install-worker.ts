import { pathsFor } from '../config/paths.ts';
import { parseJoinToken } from '../join/token.ts';
import { findBundleNews } from './bundle-news.ts';
import { tokenNeeded } from './ensure-membership.ts';
import { checkBundle } from './given-bundle.ts';
import { machineArch } from './host-facts.ts';
import { type InstallableNode, type InstallOptions, installNode } from './install.ts';
import { readLocalConfig } from './local-config.ts';
import { readMembership } from './membership.ts';
import { checkOwnSettings } from './own-settings.ts';
import { requireNoControlPlane } from './preflight.ts';
import { inspectWorker } from './prepare-worker.ts';
import { provideWorker, type WorkerOptions } from './start-worker.ts';

export type WorkerInstallOptions = InstallOptions & WorkerOptions;

/** Joins a cluster and installs a worker; the token is used here and goes nowhere else. @throws UserError or UserErrors. */
export function installWorker(options: WorkerInstallOptions, signal: AbortSignal): Promise<void> {
  return installNode(installableWorker(options), options, signal);
}

function installableWorker(options: WorkerInstallOptions): InstallableNode {
  const { configFile, dataDir, nodeName, labels, taints, token } = options;
  const paths = pathsFor(dataDir === undefined ? {} : { dataDir });
  return {
    command: 'worker',
    paths,
    args: [
      ...(configFile === undefined ? [] : ['--config', configFile]),
      ...(dataDir === undefined ? [] : ['--data-dir', dataDir]),
      ...(options.settings ?? []).flatMap((setting) => ['--set', setting]),
      ...(nodeName === undefined ? [] : ['--node-name', nodeName]),
      ...(labels === undefined ? [] : ['--labels', labels]),
      ...(taints === undefined ? [] : ['--taints', taints]),
      ...(options.isDebug ? ['--debug'] : []),
    ],
    findNews: (signal) => findBundleNews(options, paths, signal),
    check: async (signal) => {
      await checkBundle(options, signal, { arch: machineArch() });
      await requireNoControlPlane(paths);
      await checkOwnSettings(options);
      await readLocalConfig(options);
      if (token !== undefined) parseJoinToken(token);
      await inspectWorker(options);
      const stored = await readMembership(paths);
      if (stored === undefined && token === undefined) throw tokenNeeded(stored);
    },
    provide: (signal) => provideWorker(options, signal),
  };
}
