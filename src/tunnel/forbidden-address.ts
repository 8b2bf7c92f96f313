import { type Cidr, cidrContains } from '../base/ip.ts';

/** Never dialled, whatever the API's objects say: users of the API must not reach a host's own services through us. */
const forbiddenRanges: readonly { readonly cidr: Cidr; readonly what: string }[] = [
  { cidr: { base: 0, prefix: 8 }, what: 'no address of a host' },
  { cidr: { base: 0x7f000000, prefix: 8 }, what: 'a loopback address' },
  // Cloud metadata services are among these.
  { cidr: { base: 0xa9fe0000, prefix: 16 }, what: 'a link-local address' },
  { cidr: { base: 0xe0000000, prefix: 3 }, what: 'a multicast or reserved address' },
];

/** Why an IPv4 address is no target at all: `a loopback address`; undefined when it may be one. Pure. */
export function forbiddenAddress(address: number): string | undefined {
  return forbiddenRanges.find(({ cidr }) => cidrContains(cidr, address))?.what;
}
