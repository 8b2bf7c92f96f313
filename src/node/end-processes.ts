import type { Logger } from '../base/logger.ts';
import type { Paths } from '../config/paths.ts';
import { endOrphans, findOrphans, type Orphan } from '../supervisor/orphans.ts';
import type { SupervisorEvent } from '../supervisor/types.ts';
import { instanceOf, pidDir } from './components.ts';

/**
 * Executables that may still run when a supervisor was killed, and what must have ended before each: kube-apiserver
 * waits for its datastore and etcd for its clients, for as long as one lets them.
 */
const endsAfter: Readonly<Record<string, readonly string[]>> = {
  kubelet: [],
  'kube-proxy': [],
  'kube-scheduler': [],
  'kube-controller-manager': [],
  'kube-apiserver': ['kubelet', 'kube-proxy', 'kube-scheduler', 'kube-controller-manager'],
  etcd: ['kube-apiserver'],
  containerd: ['kubelet'],
};

export interface EndProcessesOptions {
  /** Between SIGTERM and SIGKILL, milliseconds. */
  readonly stopTimeoutMs: number;
  readonly logger: Logger;
  readonly onEvent: (event: SupervisorEvent) => void;
}

/** Ends the components that a killed supervisor left, whatever their plan was, in the order of a stop. Containers run on. */
export function endProcesses(
  paths: Paths,
  options: EndProcessesOptions,
): Promise<readonly Orphan[]> {
  return endOrphans({
    ...options,
    ...marksOf(paths),
    endsAfter: (name) => endsAfter[name] ?? [],
  });
}

/** The components that run, of a running supervisor or of a killed one. */
export function findProcesses(paths: Paths): readonly Orphan[] {
  return findOrphans(marksOf(paths));
}

function marksOf(paths: Paths) {
  return {
    pidDir: pidDir(paths),
    instance: instanceOf(paths),
    executables: Object.keys(endsAfter).map((name) => `${paths.binDir}/${name}`),
  };
}
