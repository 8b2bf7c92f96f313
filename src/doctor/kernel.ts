import { errorCode } from '../base/errors.ts';
import { describeDiskError } from './data-directory.ts';
import { type Feature, type FeatureOutcome, tryFeatures } from './try-features.ts';
import type { Examination, Machine, Verdict } from './types.ts';

/** What decides which feature is needed. */
export interface KernelContext {
  readonly provider: Machine['config']['spec']['network']['provider'];
  readonly serviceMode: Machine['serviceMode'];
  readonly dataDir: string;
}

interface Need {
  /** As it continues "cannot …". */
  readonly prevents: string;
  readonly fix: string;
}

export async function examineKernel(machine: Examination, signal: AbortSignal): Promise<Verdict[]> {
  const { config, paths, serviceMode, isRoot, runsWorkloads } = machine;
  if (!runsWorkloads) return [];
  if (!isRoot) return [{ state: 'skipped', why: 'trying what it can do needs root' }];
  const { dataDir } = paths;
  try {
    const outcomes = await tryFeatures(dataDir, signal);
    return judgeKernel(outcomes, { provider: config.spec.network.provider, serviceMode, dataDir });
  } catch (error) {
    if (errorCode(error) === undefined) throw error;
    // That the disk is full or read-only is said where it prevents something.
    return [{ state: 'skipped', why: `nothing can be written: ${describeDiskError(error)}` }];
  }
}

/** Pure. What nobody here needs is no more than mentioned. */
export function judgeKernel(
  outcomes: ReadonlyMap<Feature, FeatureOutcome>,
  context: KernelContext,
): Verdict[] {
  const found = [...outcomes];
  const working = found.filter(([, { type }]) => type === 'works').map(([name]) => name);
  const works: Verdict[] =
    working.length === 0 ? [] : [{ state: 'ok', what: `${working.join(', ')} work` }];
  return [...works, ...found.flatMap(([name, outcome]) => judgeFeature(name, outcome, context))];
}

function judgeFeature(name: Feature, outcome: FeatureOutcome, context: KernelContext): Verdict[] {
  const need = needFor(name, context);
  switch (outcome.type) {
    case 'works':
      return [];
    case 'untried':
      // Of what is not needed, nobody wants to know.
      return need === undefined ? [] : [{ state: 'skipped', why: `${name}: ${outcome.why}` }];
    case 'failed': {
      if (need === undefined) {
        return [{ state: 'ok', what: `${name} does not work, and is not needed here` }];
      }
      const why = `${name} does not work: ${outcome.message}`;
      return [{ state: 'fail', prevents: need.prevents, why, fix: need.fix }];
    }
  }
}

function needFor(name: Feature, context: KernelContext): Need | undefined {
  const { provider, serviceMode, dataDir } = context;
  const isOurs = provider === 'kube-router';
  const kernel = (option: string) => `boot a kernel that was built with ${option}`;
  switch (name) {
    case 'overlay':
      return {
        prevents: 'run containers',
        fix: `${kernel('CONFIG_OVERLAY_FS')}, or keep ${dataDir} on ext4, xfs or btrfs`,
      };
    case 'veth':
      return { prevents: 'connect pods', fix: kernel('CONFIG_VETH') };
    case 'bridge':
      return isOurs ? { prevents: 'connect pods', fix: kernel('CONFIG_BRIDGE') } : undefined;
    case 'ipset':
      return isOurs ? { prevents: 'run kube-router', fix: kernel('CONFIG_IP_SET') } : undefined;
    case 'nftables':
      if (serviceMode !== 'nftables') return undefined;
      return {
        prevents: 'start kube-proxy',
        fix: `set spec.network.kubeProxy.mode: iptables, or ${kernel('CONFIG_NF_TABLES, CONFIG_NFT_NAT, CONFIG_NFT_FIB and CONFIG_NFT_NUMGEN')}`,
      };
    case 'iptables':
      if (serviceMode !== 'iptables') return undefined;
      return { prevents: 'start kube-proxy', fix: kernel('CONFIG_NETFILTER_XTABLES') };
    case 'conntrack':
      return serviceMode === undefined
        ? undefined
        : { prevents: 'lead connections to Services', fix: kernel('CONFIG_NF_CONNTRACK') };
    // kube-router needs it between sites only, and tunnels by other means; a network of the user's own says itself.
    case 'vxlan':
      return undefined;
  }
}
