import { fallbackEtcdId } from '../components/etcd.ts';
import { pathsFor } from '../config/paths.ts';
import { findBundleNews } from './bundle-news.ts';
import { checkBundle } from './given-bundle.ts';
import { machineArch } from './host-facts.ts';
import { type InstallableNode, type InstallOptions, installNode } from './install.ts';
import { checkMachine, requireNoMembership } from './preflight.ts';
import { prepareController } from './prepare.ts';
import { type ControllerOptions, provideController } from './start.ts';

export type ControllerInstallOptions = InstallOptions & ControllerOptions;

/** Installs a controller. @throws UserError or UserErrors. */
export function installController(
  options: ControllerInstallOptions,
  signal: AbortSignal,
): Promise<void> {
  return installNode(installableController(options), options, signal);
}

function installableController(options: ControllerInstallOptions): InstallableNode {
  const paths = pathsFor(options.dataDir === undefined ? {} : { dataDir: options.dataDir });
  return {
    command: 'controller',
    paths,
    args: [
      ...(options.configFile === undefined ? [] : ['--config', options.configFile]),
      ...(options.dataDir === undefined ? [] : ['--data-dir', options.dataDir]),
      ...(options.settings ?? []).flatMap((setting) => ['--set', setting]),
      ...(options.runsWorkloads ? [] : ['--no-workloads']),
      ...(options.isDebug ? ['--debug'] : []),
    ],
    // The number that owns etcd's data where there is no such user: a cluster from before keeps its data.
    user: { name: 'etcd', id: fallbackEtcdId },
    findNews: (signal) => findBundleNews(options, paths, signal),
    check: async (signal) => {
      await checkBundle(options, signal, { arch: machineArch() });
      await requireNoMembership(paths);
      await checkMachine(await prepareController(options), 'before', signal);
    },
    provide: (signal) => provideController(options, signal),
  };
}
