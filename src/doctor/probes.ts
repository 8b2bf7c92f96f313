import type { Examination, Examine, Machine, Verdict } from './types.ts';

/** One thing to look at; its code is loaded when it is, since a node that runs needs none of it. */
export type Probe = StartProbe | DoctorProbe;

/** Cheap, and what fails there would certainly keep a node from working: looked at before each start. */
export interface StartProbe {
  readonly name: string;
  /** `locked`: only once nothing of ours runs any more. */
  readonly atStart: 'before' | 'locked';
  readonly load: () => Promise<Examine<Machine>>;
}

/** Looked at when a person asks. */
export interface DoctorProbe {
  readonly name: string;
  readonly atStart?: never;
  readonly load: () => Promise<Examine<Examination>>;
}

/** Everything that is looked at, in reading order: the kernel, the hardware, the network, what is there already. */
export const probes: readonly Probe[] = [
  {
    name: 'cgroups',
    atStart: 'before',
    load: async () => (await import('./cgroups.ts')).examineCgroups,
  },
  { name: 'kernel', load: async () => (await import('./kernel.ts')).examineKernel },
  {
    name: 'service-tools',
    atStart: 'before',
    load: async () => (await import('./service-tools.ts')).examineServiceTools,
  },
  { name: 'page-size', load: async () => (await import('./page-size.ts')).examinePageSize },
  { name: 'memory', load: async () => (await import('./memory.ts')).examineMemory },
  { name: 'swap', load: async () => (await import('./swap.ts')).examineSwap },
  {
    name: 'disk',
    atStart: 'before',
    load: async () => (await import('./data-directory.ts')).examineDataDirectory,
  },
  {
    name: 'write-latency',
    load: async () => (await import('./write-latency.ts')).examineWriteLatency,
  },
  { name: 'clock', load: async () => (await import('./time.ts')).examineTime },
  {
    name: 'default-route',
    load: async () => (await import('./default-route.ts')).examineDefaultRoute,
  },
  { name: 'dns', load: async () => (await import('./name-servers.ts')).examineNameServers },
  {
    name: 'ports',
    atStart: 'locked',
    load: async () => (await import('./ports.ts')).examinePorts,
  },
  {
    name: 'forwarding',
    load: async () => (await import('./forward-policy.ts')).examineForwardPolicy,
  },
  { name: 'leftovers', load: async () => (await import('./leftovers.ts')).examineLeftovers },
  { name: 'settings', load: async () => (await import('./settings.ts')).examineSettings },
  {
    name: 'certificates',
    load: async () => (await import('./certificates.ts')).examineCertificates,
  },
  { name: 'keys', load: async () => (await import('./key-files.ts')).examineKeyFiles },
  { name: 'store', load: async () => (await import('./store.ts')).examineStore },
];

/** What would keep a node from working, as far as it can be told so early. */
export async function examineForStart(
  machine: Machine,
  when: StartProbe['atStart'],
  signal: AbortSignal,
): Promise<readonly Extract<Verdict, { state: 'fail' }>[]> {
  const found: Verdict[] = [];
  for (const probe of probes) {
    if (probe.atStart !== when) continue;
    const examine = await probe.load();
    found.push(...(await examine(machine, signal)));
  }
  return found.filter((verdict) => verdict.state === 'fail');
}
