import type { Machine, Verdict } from './types.ts';

/** Whether the program that kube-proxy's mode needs is on the machine. Pure. */
export function judgeServiceTools(machine: Pick<Machine, 'config' | 'host' | 'serviceMode'>) {
  const { config, host, serviceMode } = machine;
  return judge({
    mode: serviceMode,
    host,
    isChosen: config.spec.network.kubeProxy.mode !== 'auto',
  });
}

export async function examineServiceTools(machine: Machine): Promise<Verdict[]> {
  return judgeServiceTools(machine);
}

function judge(facts: {
  readonly mode: Machine['serviceMode'];
  readonly host: Pick<Machine['host'], 'hasNftables' | 'hasIptables'>;
  readonly isChosen: boolean;
}): Verdict[] {
  const { mode, host, isChosen } = facts;
  if (mode === undefined) return [];
  if (mode === 'nftables' ? host.hasNftables : host.hasIptables) {
    return [{ state: 'ok', what: `kube-proxy works with ${mode}` }];
  }
  const iptables = isChosen ? 'iptables is not' : 'neither nft 1.0.1 or newer nor iptables is';
  return [
    {
      state: 'fail',
      prevents: 'start kube-proxy',
      why: `${mode === 'nftables' ? 'nft 1.0.1 or newer is not' : iptables} on this machine`,
      fix: 'install nftables (apt-get install nftables), or set spec.network.kubeProxy.enabled: false and bring another implementation of Services',
    },
  ];
}
