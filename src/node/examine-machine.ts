import { errorCode, errorMessage, type UserError } from '../base/errors.ts';
import { type Probe, probes } from '../doctor/probes.ts';
import type { Examination, Repair, Verdict } from '../doctor/types.ts';
import { type InspectOptions, inspectMachine } from './inspect-machine.ts';
import type { NodePlan } from './plan-types.ts';
import { requireRoot } from './preflight.ts';
import { applyRepair, describeRepair } from './repair-machine.ts';

export interface ExamineOptions extends InspectOptions {
  /** Does what is safe of what would mend something. */
  readonly wantsRepair: boolean;
  /** Says what would be done, and does not do it. */
  readonly isDryRun: boolean;
  /** Called before each probe: some take seconds. */
  readonly onProbe: (name: string) => void;
}

/** What `mini-k8s doctor -o json` prints. */
export interface MachineReport {
  /** What the machine is, or would be. */
  readonly role: NodePlan['role'];
  readonly dataDir: string;
  readonly isRunning: boolean;
  /** Of the supervisor; left out when none runs, or this user may not know. */
  readonly supervisorPid?: number;
  /** Nothing failed; warnings may be there. */
  readonly isHealthy: boolean;
  readonly checks: readonly MachineCheck[];
  readonly repairs: readonly RepairReport[];
}

/** One line of the doctor's. */
export interface MachineCheck {
  readonly probe: string;
  readonly state: Verdict['state'];
  /** What was found, or what cannot be done: `cannot start etcd`. */
  readonly what: string;
  /** Only where something is wrong. */
  readonly why?: string;
  readonly fix?: string;
}

export interface RepairReport {
  readonly probe: string;
  /** `set net.ipv4.ip_forward to 1`. */
  readonly what: string;
  /** `planned` of a dry run. */
  readonly outcome: 'done' | 'planned' | 'failed';
  readonly why?: string;
}

interface Finding {
  readonly probe: string;
  readonly verdicts: readonly Verdict[];
}

/**
 * Looks at everything that a node on this machine needs, and mends what is safe to mend when asked to. Needs no running
 * node, and disturbs none.
 * @throws UserError when it shall mend without being root, and on a machine without cgroups.
 */
export async function examineMachine(
  options: ExamineOptions,
  signal: AbortSignal,
): Promise<MachineReport> {
  if (options.wantsRepair && !options.isDryRun) requireRoot('repair this machine');
  const { role, examination, supervisorPid, configErrors } = await inspectMachine(options);
  let findings: Finding[] = [];
  for (const probe of probes) {
    options.onProbe(probe.name);
    findings.push(await examineOne(probe, examination, signal));
  }
  const repairs = options.wantsRepair ? await repairAll(findings, examination, options) : [];
  const mended = new Set(
    repairs.filter(({ outcome }) => outcome === 'done').map(({ probe }) => probe),
  );
  findings = await Promise.all(
    findings.map(async (finding) => {
      const probe = probes.find(({ name }) => name === finding.probe && mended.has(name));
      return probe === undefined ? finding : examineOne(probe, examination, signal);
    }),
  );
  const checks = [
    ...configErrors.map(describeConfigError),
    ...findings.flatMap(({ probe, verdicts }) => verdicts.map((each) => describe(probe, each))),
  ];
  return {
    role,
    dataDir: examination.paths.dataDir,
    isRunning: examination.isRunning,
    ...(supervisorPid === undefined ? {} : { supervisorPid }),
    isHealthy: checks.every(({ state }) => state !== 'fail'),
    checks,
    repairs,
  };
}

/** A disk that is breaking, or a file that only root may read, is no reason not to look at the rest. */
async function examineOne(
  probe: Probe,
  examination: Examination,
  signal: AbortSignal,
): Promise<Finding> {
  const { name } = probe;
  try {
    const examine = await probe.load();
    return { probe: name, verdicts: await examine(examination, signal) };
  } catch (error) {
    const code = errorCode(error);
    if (signal.aborted || code === undefined) throw error;
    const isForbidden = !examination.isRoot && (code === 'EACCES' || code === 'EPERM');
    const verdict: Verdict = isForbidden
      ? { state: 'skipped', why: 'it needs root' }
      : { state: 'fail', prevents: 'look at it', why: errorMessage(error) };
    return { probe: name, verdicts: [verdict] };
  }
}

async function repairAll(
  findings: readonly Finding[],
  examination: Examination,
  { isDryRun }: ExamineOptions,
): Promise<RepairReport[]> {
  const reports: RepairReport[] = [];
  for (const { probe, verdicts } of findings) {
    for (const repair of verdicts.flatMap(repairOf)) {
      const what = describeRepair(repair);
      if (isDryRun) reports.push({ probe, what, outcome: 'planned' });
      else reports.push({ probe, ...(await repairOne(repair, examination)) });
    }
  }
  return reports;
}

async function repairOne(
  repair: Repair,
  { paths }: Examination,
): Promise<Omit<RepairReport, 'probe'>> {
  try {
    return { what: await applyRepair(repair, paths), outcome: 'done' };
  } catch (error) {
    const why = errorMessage(error);
    return { what: describeRepair(repair), outcome: 'failed', why };
  }
}

function repairOf(verdict: Verdict): Repair[] {
  const isWrong = verdict.state === 'warn' || verdict.state === 'fail';
  return isWrong && verdict.repair !== undefined ? [verdict.repair] : [];
}

function describe(probe: string, verdict: Verdict): MachineCheck {
  const { state } = verdict;
  switch (verdict.state) {
    case 'ok':
      return { probe, state, what: verdict.what };
    case 'skipped':
      return { probe, state, what: 'not looked at', why: verdict.why };
    case 'warn':
    case 'fail': {
      const what = verdict.state === 'fail' ? `cannot ${verdict.prevents}` : verdict.what;
      const fix = verdict.fix === undefined ? {} : { fix: verdict.fix };
      return { probe, state, what, why: verdict.why, ...fix };
    }
  }
}

function describeConfigError({ what, why, fix }: UserError): MachineCheck {
  return {
    probe: 'configuration',
    state: 'fail',
    what: `cannot ${what}`,
    why,
    ...(fix === undefined ? {} : { fix }),
  };
}
