import type { Machine, Verdict } from './types.ts';

export async function examineDefaultRoute({ host, config }: Machine): Promise<Verdict[]> {
  return judgeDefaultRoute(host, config.spec.api.address);
}

/** Pure. @param configured `spec.api.address`, empty when the machine's is used. */
export function judgeDefaultRoute(
  host: Pick<Machine['host'], 'defaultGateway' | 'addresses' | 'lastAddress'>,
  configured: string,
): Verdict[] {
  if (host.defaultGateway !== undefined)
    return [{ state: 'ok', what: `by ${host.defaultGateway}` }];
  const [address] = host.addresses;
  const kept = configured === '' ? (address?.address ?? host.lastAddress) : configured;
  const why =
    kept === undefined
      ? 'without it, and without an address, a node cannot be named'
      : `the node keeps its address ${kept}; downloads, images and other machines beyond its network are out of reach`;
  const fix = 'ip route add default via <gateway>, or check the cable and DHCP';
  return [{ state: 'warn', what: 'there is none', why, fix }];
}
