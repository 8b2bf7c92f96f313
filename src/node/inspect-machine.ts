import { access } from 'node:fs/promises';
import { errorCode, UserError, UserErrors } from '../base/errors.ts';
import type { Clock } from '../base/time.ts';
import type { HostFacts } from '../config/host-facts.ts';
import { checkHost, defaultConfig } from '../config/parse.ts';
import { defaultDataDir, type Paths, pathsFor } from '../config/paths.ts';
import type { ClusterConfig } from '../config/types.ts';
import type { Examination } from '../doctor/types.ts';
import { readInstallRecord } from '../install/install-record.ts';
import type { InstallRecord } from '../install/types.ts';
import { releasedAtMs } from './clock-gate.ts';
import { type ConfigSourceOptions, inspectSources } from './config-sources.ts';
import { findProcesses } from './end-processes.ts';
import { gatherHostFacts } from './host-facts.ts';
import { isLocked, readHolder } from './lock.ts';
import { machineOf } from './machine.ts';
import { hasKubeletCertificate, readMembership, type StoredMembership } from './membership.ts';
import { planController, planWorker } from './plan.ts';
import type { NodePlan } from './plan-types.ts';
import { lastAddressFile } from './prepare.ts';
import { hostRecordFile } from './realise.ts';
import { inspectMember } from './worker-config.ts';

export interface InspectOptions extends ConfigSourceOptions {
  /** The running or installed node's, when left out. */
  readonly dataDir?: string;
  /** A machine that is no node yet shall become a worker. */
  readonly wantsWorker: boolean;
  readonly clock: Clock;
}

export interface InspectedMachine {
  readonly role: NodePlan['role'];
  readonly examination: Examination;
  /** Of the supervisor; undefined when none runs, or this user may not know. */
  readonly supervisorPid?: number;
  /** What is wrong with the configuration, in itself and on this machine. */
  readonly configErrors: readonly UserError[];
}

/**
 * Finds out what this machine is, or would be, from what is on it. Changes nothing, and does not take the lock, which
 * a node that is about to start would miss.
 * @throws UserError on a machine without cgroups, and for a join document that is damaged.
 */
export async function inspectMachine(options: InspectOptions): Promise<InspectedMachine> {
  const [record, holder] = await Promise.all([
    readInstallRecord(),
    unlessForbidden(() => readHolder(pathsFor())),
  ]);
  const dataDir = options.dataDir ?? holder?.dataDir ?? record?.dataDir ?? defaultDataDir;
  const paths = pathsFor({ ...options, dataDir });
  const [host, isRunning, traces] = await Promise.all([
    gatherHostFacts({ lastAddressFile: lastAddressFile(paths) }),
    isLocked(paths),
    findTraces(paths, record),
  ]);
  const { config, configErrors } = await readConfigOf(traces.membership, options, host);
  const isWorker = traces.isNode ? traces.isWorker : options.wantsWorker;
  const plan = isWorker
    ? await planAsWorker(traces.membership, { config, host, paths })
    : planController({ config, host, paths, runsWorkloads: await runsWorkloads(traces, paths) });
  const supervisorPid = isRunning ? holder?.pid : undefined;
  const components = (await unlessForbidden(async () => findProcesses(paths))) ?? [];
  return {
    role: plan.role,
    ...(supervisorPid === undefined ? {} : { supervisorPid }),
    configErrors,
    examination: {
      ...machineOf({ config, host, paths, plan }),
      isRoot: process.getuid?.() === 0,
      isRunning,
      isNode: traces.isNode,
      ownPids: new Set(
        [...components.map(({ pid }) => pid), supervisorPid].filter((pid) => pid !== undefined),
      ),
      clock: options.clock,
      releasedAtMs,
      hostRecordFile: hostRecordFile(paths),
    },
  };
}

/** What a node has left on the disk. */
interface Traces {
  readonly isNode: boolean;
  readonly isWorker: boolean;
  readonly hasCluster: boolean;
  /** Undefined also where only root may read it. */
  readonly membership: StoredMembership | undefined;
}

async function findTraces(paths: Paths, record: InstallRecord | undefined): Promise<Traces> {
  const membership = await unlessForbidden(() => readMembership(paths));
  const hasCluster = await exists(paths.etcdDir);
  const installed = record?.dataDir === paths.dataDir ? record.command : undefined;
  return {
    isNode: hasCluster || membership !== undefined || installed !== undefined,
    isWorker: membership !== undefined || installed === 'worker',
    hasCluster,
    membership,
  };
}

/** A controller that was started with `--no-workloads` has never linked a kubelet. */
async function runsWorkloads({ hasCluster }: Traces, paths: Paths): Promise<boolean> {
  return !hasCluster || (await exists(`${paths.binDir}/kubelet`));
}

async function planAsWorker(
  membership: StoredMembership | undefined,
  options: { readonly config: ClusterConfig; readonly host: HostFacts; readonly paths: Paths },
): Promise<NodePlan> {
  const { ca = '', gateways = [], apiServers = [] } = membership?.document ?? {};
  const hasCertificate = await hasKubeletCertificate(options.paths);
  return planWorker({ ...options, apiServers, membership: { ca, gateways, hasCertificate } });
}

/** On a worker with what its cluster says; whatever can be used of it. */
async function readConfigOf(
  membership: StoredMembership | undefined,
  options: InspectOptions,
  host: HostFacts,
): Promise<Pick<InspectedMachine, 'configErrors'> & { readonly config: ClusterConfig }> {
  const source = membership === undefined ? pathsFor(options).configFile : 'of the cluster';
  try {
    const inspected =
      membership === undefined
        ? await inspectSources(options)
        : await inspectMember(membership, options);
    const configErrors = [...inspected.errors, ...checkHost(inspected, host, source)];
    return { config: inspected.config, configErrors };
  } catch (error) {
    const configErrors = error instanceof UserErrors ? error.errors : [error];
    if (!configErrors.every((each) => each instanceof UserError)) throw error;
    return { config: await defaultConfig(), configErrors };
  }
}

/** The node's state is for root only: whoever else asks learns the rest. */
async function unlessForbidden<T>(read: () => Promise<T>): Promise<T | undefined> {
  try {
    return await read();
  } catch (error) {
    if (errorCode(error) === 'EACCES') return undefined;
    throw error;
  }
}

function exists(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    () => false,
  );
}
