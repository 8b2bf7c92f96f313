import { errorCode, throwCollected, UserError } from '../base/errors.ts';
import type { Paths } from '../config/paths.ts';
import { settingVariables } from '../config/settings.ts';
import { applyChanges, removeFile } from '../install/apply-changes.ts';
import { comparePlan, describeChange, describePlan } from '../install/compare-plan.ts';
import { readInstallRecord, writeInstallRecord } from '../install/install-record.ts';
import { findLeftovers } from '../install/leftovers.ts';
import { recordFile } from '../install/paths.ts';
import { planInstall } from '../install/plan-install.ts';
import { proxyEnvironment } from '../install/render-environment.ts';
import { findServiceControl, type ServiceControl } from '../install/service-control.ts';
import { canMakeUser, makeSystemUser, removeSystemUser } from '../install/system-user.ts';
import type { InstallPlan, InstallRecord, SystemUser } from '../install/types.ts';
import { followStart } from './follow-start.ts';
import { describeHolder, tryLock } from './lock.ts';
import { probeNegativeOomScore } from './oom-probe.ts';
import { requireRoot } from './preflight.ts';
import { existingNodeFiles, removeNodeFiles } from './reset-files.ts';
import type { StartOptions } from './start.ts';

/** What one role brings to an installation. */
export interface InstallableNode {
  readonly command: 'controller' | 'worker';
  readonly paths: Paths;
  /** What follows the command in the service; no secret. */
  readonly args: readonly string[];
  /** Who owns data of it; made where the machine has none of that name and number. */
  readonly user?: SystemUser;
  /** What the given bundle has that an installed node has not, or the other way round: a line each. Changes nothing. */
  findNews(signal: AbortSignal): Promise<readonly string[]>;
  /** Finds whatever is wrong with what was asked for, and changes nothing. */
  check(signal: AbortSignal): Promise<void>;
  /** Brings what the node needs to start by itself. The machine must be free: nothing of ours runs. */
  provide(signal: AbortSignal): Promise<void>;
}

export interface InstallOptions extends StartOptions {
  readonly wantsStart: boolean;
  readonly isDryRun: boolean;
  /** The file that is installed: the executable of this process. */
  readonly executable: string;
  readonly say: (line: string) => void;
}

/**
 * Installs a node as a service, starts it and waits until it is Ready. Running it again changes only what differs;
 * whatever fails or is interrupted before the service starts leaves the machine as it was.
 * @throws UserError or UserErrors.
 */
export async function installNode(
  node: InstallableNode,
  options: InstallOptions,
  signal: AbortSignal,
): Promise<void> {
  const { say } = options;
  const control = await findServiceControl();
  const plan = await planFor(node, options, control);
  if (options.isDryRun) {
    say(describePlan(plan));
    return;
  }
  requireRoot(`install the ${node.command}`);
  requireBuilt(options);
  const record = await readInstallRecord();
  throwCollected([...otherRole(node, record), ...(await findLeftovers(whatFor(node)))]);
  const isRunning = record !== undefined && (await control.isRunning());
  if (!isRunning) await requireFree(node);
  const changes = await comparePlan(plan, options.executable);
  const news = record === undefined ? [] : await node.findNews(signal);
  const isSame = record !== undefined && changes.length === 0 && news.length === 0;
  const isComplete = isSame && (await control.isEnabled());
  if (isComplete && (isRunning || !options.wantsStart)) {
    say(`Nothing to change: the ${node.command} is installed${isRunning ? ' and running' : ''}.`);
    return;
  }
  await node.check(signal);
  for (const line of [...changes.flatMap(describeChange), ...news]) say(line);
  const work = { node, plan, changes, control, options, record };
  await (isRunning ? changeRunning(work, signal) : installStopped(work, signal));
  if (!options.wantsStart) {
    say(`Installed. Start it with: mini-k8s start`);
    return;
  }
  await control.start();
  await followStart({ statusSocket: node.paths.statusSocket, onEvent: options.onEvent }, signal);
}

async function planFor(
  { command, args, paths, user }: InstallableNode,
  { env }: InstallOptions,
  { manager }: ServiceControl,
): Promise<InstallPlan> {
  const { dataDir } = paths;
  const environment = { ...proxyEnvironment(env), ...settingVariables(env) };
  const allowsNegativeOomScore = await probeNegativeOomScore();
  const { renderJsonSchema } = await import('../config/json-schema.ts');
  const schema = renderJsonSchema();
  const request = { command, args, dataDir, environment, schema, allowsNegativeOomScore };
  return planInstall({ ...request, ...(user === undefined ? {} : { user }) }, manager);
}

interface Work {
  readonly node: InstallableNode;
  readonly plan: InstallPlan;
  readonly changes: Awaited<ReturnType<typeof comparePlan>>;
  readonly control: ServiceControl;
  readonly options: InstallOptions;
  readonly record: InstallRecord | undefined;
}

/** Only the supervisor and its processes end and start again; pods run on. */
async function changeRunning(work: Work, signal: AbortSignal): Promise<void> {
  await work.control.stop();
  try {
    await installStopped(work, signal);
  } catch (error) {
    await work.control.start();
    throw error;
  }
}

async function installStopped(work: Work, signal: AbortSignal): Promise<void> {
  const { node, plan, changes, control, options } = work;
  const user = plan.user !== undefined && (await canMakeUser(plan.user)) ? plan.user : undefined;
  const undo = await prepareUndo(work, user);
  try {
    await writeInstallRecord(recordFor(work, user));
    if (user !== undefined) await makeSystemUser(user);
    await node.provide(signal);
    signal.throwIfAborted();
    const takeBack = await applyChanges(changes, { plan, source: options.executable });
    try {
      await control.reload();
      await control.enable();
    } catch (error) {
      await takeBack();
      throw error;
    }
  } catch (error) {
    await undo();
    throw explainFailure(error, node, signal);
  }
}

/** The way back to the machine as it was before; data of a node that was here stays. */
async function prepareUndo(
  { node, record }: Work,
  user: SystemUser | undefined,
): Promise<() => Promise<void>> {
  const hadFiles = await existingNodeFiles(node.paths);
  return async () => {
    await removeNodeFiles(node.paths, hadFiles);
    if (user !== undefined) await removeSystemUser(user.name);
    if (record === undefined) await removeFile(recordFile);
    else await writeInstallRecord(record);
  };
}

/** What was the machine's own before the first installation stays its own. */
function recordFor({ plan, changes, record }: Work, made: SystemUser | undefined): InstallRecord {
  const { command, manager, dataDir, executable, previousExecutable } = plan;
  const user = made?.name ?? record?.user;
  const isOurs =
    record?.executable !== undefined || changes.some(({ type }) => type === 'executable');
  return {
    command,
    manager,
    dataDir,
    files: [...new Set([...(record?.files ?? []), ...plan.files.map(({ path }) => path)])],
    ...(isOurs ? { executable } : {}),
    previousExecutable,
    ...(user === undefined ? {} : { user }),
  };
}

function explainFailure(error: unknown, node: InstallableNode, signal: AbortSignal): unknown {
  const what = whatFor(node);
  if (signal.aborted) {
    const why = `interrupted by ${String(signal.reason)}; the machine is as it was`;
    return new UserError({ what, why, fix: 'run it again', cause: error });
  }
  if (errorCode(error) !== 'ENOSPC') return error;
  const why = 'the file system is full; the machine is as it was';
  return new UserError({ what, why, fix: 'make room, and run it again', cause: error });
}

function requireBuilt({ version }: InstallOptions): void {
  if (!version.endsWith('-source')) return;
  throw new UserError({
    what: 'install this executable',
    why: 'it is Node.js, running mini-k8s from its source',
    fix: 'build one with ./scripts/node scripts/build.ts --host-only, and run dist/mini-k8s',
  });
}

/** Another node of ours in the foreground, or an `uninstall` or `install` of somebody else. */
async function requireFree(node: InstallableNode): Promise<void> {
  const lock = await tryLock(node.paths);
  if (lock !== undefined) {
    await lock.release();
    return;
  }
  throw new UserError({
    what: whatFor(node),
    why: `${await describeHolder(node.paths)} is running`,
    fix: 'end it first (Ctrl-C, or kill -TERM that pid): its data is taken over',
  });
}

function otherRole(node: InstallableNode, record: InstallRecord | undefined): UserError[] {
  if (record === undefined) return [];
  const fix = 'mini-k8s uninstall --yes first: it deletes the node and its data';
  if (record.command !== node.command) {
    const why = `this machine is a ${record.command}`;
    return [new UserError({ what: whatFor(node), why, fix })];
  }
  if (record.dataDir === node.paths.dataDir) return [];
  const why = `its data is in ${record.dataDir}, not in ${node.paths.dataDir}`;
  return [new UserError({ what: whatFor(node), why, fix })];
}

function whatFor(node: InstallableNode): string {
  return `install the ${node.command}`;
}
