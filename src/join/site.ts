import type { JoinRequest, NodeSite } from './types.ts';

/** Where nodes are that the controller sees under their own addresses. */
export const mainSite: NodeSite = { name: 'main', isBehindNat: false };

/**
 * Where a machine is, from the address that its connection came from. Machines behind one address translation (or one
 * proxy) share a site. Pure.
 */
export function siteOf(remoteAddress: string, request: Pick<JoinRequest, 'addresses'>): NodeSite {
  if (request.addresses.includes(remoteAddress)) return mainSite;
  return { name: `nat-${remoteAddress.replaceAll(/[^0-9A-Za-z.]/g, '-')}`, isBehindNat: true };
}
