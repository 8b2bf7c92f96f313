import { readTextIfExists } from '../base/files.ts';
import { readHostRecords, sysctlFile } from '../host/ensure-host-settings.ts';
import type { Examination, Verdict } from './types.ts';

/** A setting of the kernel that this node has made, or relies on. */
export interface SettingFacts {
  readonly key: string;
  readonly wanted: string;
  /** Undefined where the kernel has no such setting. */
  readonly actual: string | undefined;
  /** No pod is reached without it. */
  readonly isVital: boolean;
}

export async function examineSettings(machine: Examination): Promise<Verdict[]> {
  // A start sets them.
  if (!machine.isRunning || !machine.runsWorkloads) return [];
  if (!machine.isRoot) return [{ state: 'skipped', why: 'it needs root' }];
  return judgeSettings(await readSettings(machine));
}

/** Pure. A machine's own sysctl.d, or another program, may have put back what a start has set. */
export function judgeSettings(settings: readonly SettingFacts[]): Verdict[] {
  const drifted = settings.filter(
    ({ wanted, actual }) => actual !== undefined && actual !== wanted,
  );
  if (drifted.length === 0) {
    return [{ state: 'ok', what: `all ${settings.length} are as this node has set them` }];
  }
  return drifted.map(({ key, wanted, actual, isVital }) => {
    const why = `${key} is ${actual}, and was set to ${wanted}: something has changed it since`;
    const fix = `mini-k8s doctor --repair; for good, look for ${key} in /etc/sysctl.conf and /etc/sysctl.d`;
    const repair = { type: 'sysctl', key, value: wanted } as const;
    if (isVital) return { state: 'fail', prevents: "forward pods' packets", why, fix, repair };
    return { state: 'warn', what: `${key} has changed`, why, fix, repair };
  });
}

async function readSettings({
  hostSettings,
  hostRecordFile,
}: Examination): Promise<SettingFacts[]> {
  const recorded = (await readHostRecords(hostRecordFile)).flatMap((entry) =>
    entry.type === 'sysctl' ? [{ key: entry.key, wanted: entry.value }] : [],
  );
  // What was right before the start is not recorded, and an optional one may be impossible here.
  const vital = hostSettings.flatMap((setting) =>
    setting.type === 'sysctl' && setting.isOptional !== true
      ? [{ key: setting.key, wanted: setting.value }]
      : [],
  );
  const isVital = (key: string) => vital.some((setting) => setting.key === key);
  const all = new Map([...recorded, ...vital].map(({ key, wanted }) => [key, wanted]));
  return Promise.all(
    [...all].map(async ([key, wanted]) => ({
      key,
      wanted,
      actual: (await readTextIfExists(sysctlFile(key)))?.trim(),
      isVital: isVital(key),
    })),
  );
}
