import { readTextIfExists } from '../base/files.ts';
import { cidrContains, parseCidr, parseIpv4 } from '../base/ip.ts';
import { isLoopback, parseNameservers } from '../base/nameservers.ts';
import type { HostFacts } from '../config/host-facts.ts';
import type { Machine, Verdict } from './types.ts';

export interface NameServerFacts {
  /** Of /etc/resolv.conf. */
  readonly machines: readonly string[];
  /** What kubelet hands to pods, and the file that has it; chosen by the plan. */
  readonly pods: HostFacts['resolvConf'];
  readonly serviceCIDR: string;
}

export async function examineNameServers({ host, config, runsWorkloads }: Machine) {
  if (!runsWorkloads) return [];
  return judgeNameServers({
    machines: parseNameservers((await readTextIfExists('/etc/resolv.conf')) ?? ''),
    pods: host.resolvConf,
    serviceCIDR: config.spec.network.serviceCIDR,
  });
}

/** Pure. The cluster's own names work in any case: this is about all others. */
export function judgeNameServers({ machines, pods, serviceCIDR }: NameServerFacts): Verdict[] {
  const circular = pods.nameservers.filter((address) => isWithin(serviceCIDR, address));
  if (circular.length > 0) {
    return [
      {
        state: 'warn',
        what: `${pods.path} names ${circular.join(', ')}, the cluster's own DNS`,
        why: 'it would ask itself about every name outside the cluster',
        fix: `name a server outside the cluster in ${pods.path}`,
      },
    ];
  }
  const ofPods = pods.nameservers.join(', ');
  if (pods.nameservers.length === 0) return [judgeNone(machines)];
  const mixed = pods.nameservers.filter(isLoopback);
  if (mixed.length > 0) {
    return [
      {
        state: 'warn',
        what: `${pods.path} names ${ofPods}`,
        why: `inside a pod ${mixed.join(', ')} is the pod itself, so that every other lookup is slow or fails`,
        fix: `name only servers in ${pods.path} that pods can reach`,
      },
    ];
  }
  const loopback = machines.filter(isLoopback);
  const instead =
    loopback.length === 0 ? '' : `, since /etc/resolv.conf names ${loopback.join(', ')}`;
  return [{ state: 'ok', what: `pods ask ${ofPods} (${pods.path}${instead})` }];
}

function judgeNone(machines: readonly string[]): Verdict {
  const what = 'pods cannot look up names outside the cluster';
  if (machines.length === 0) {
    const fix = 'name a server in /etc/resolv.conf, if names outside the cluster are wanted';
    return { state: 'warn', what, why: 'there is no nameserver in /etc/resolv.conf', fix };
  }
  const why = `/etc/resolv.conf names only ${machines.join(', ')}: inside a pod that is the pod itself`;
  const fix =
    'let the local resolver write its upstream servers to /run/systemd/resolve/resolv.conf (systemd-resolved does), or name a server in /etc/resolv.conf that pods can reach';
  return { state: 'warn', what, why, fix };
}

function isWithin(network: string, text: string): boolean {
  const [cidr, address] = [parseCidr(network), parseIpv4(text)];
  return cidr !== undefined && address !== undefined && cidrContains(cidr, address);
}
