import { runOnHost } from './host-command.ts';
import { addressIn, linkName, plugRouter, siteAddresses } from './network.ts';
import {
  createNamespace,
  inNamespace,
  namespaceFile,
  removeNamespace,
} from './network-namespace.ts';
import {
  claimRecord,
  type NodeRecord,
  ownerOfThisProcess,
  readRecord,
  siteRecordName,
} from './node-record.ts';
import { cleanStaleNodes, removeRecorded } from './remove-node.ts';
import type { NatSite, Site } from './types.ts';

export interface NatSiteOptions {
  readonly name: string;
  /** Where the router's public leg is; may be behind a router itself (double NAT). */
  readonly upstream: Site;
  /** A /24; default 192.168.77.0/24. Several sites may have the same one. */
  readonly subnet?: string;
}

const DEFAULT_SUBNET = '192.168.77.0/24';
/** Routers at home hand out addresses from somewhere in the middle; the first ones are taken by tests on purpose. */
const FIRST_FREE_HOST = 100;

/**
 *   upstream's bridge ── wan │ router's namespace: masquerade │ lan (bridge, `.1`) ── nodes
 *
 * A site behind a home router: nodes dial out under the router's address, nothing can dial in. The private bridge
 * is in the router's namespace, so two sites may have equal addresses. Destroy its nodes first, then it, then the
 * upstream site.
 */
export async function createNatSite(options: NatSiteOptions): Promise<NatSite> {
  const { name, upstream, subnet = DEFAULT_SUBNET } = options;
  if (!subnet.endsWith('/24')) throw new Error(`${subnet} is no /24`);
  await cleanStaleNodes();
  const recordName = siteRecordName(name);
  const upstreamLink = linkName('router', recordName);
  const namespace = namespaceFile(recordName);
  const record: NodeRecord = {
    kind: 'site',
    name: recordName,
    owner: await ownerOfThisProcess(),
    isPersistent: false,
    links: [upstreamLink],
    ...(upstream.namespace === undefined ? {} : { linkNamespace: upstream.namespace }),
    ownNamespace: namespace,
    nftTables: [],
    forwardRules: [],
    sysctls: [],
  };
  await claimRecord(record);
  try {
    const publicAddress = upstream.nextAddress();
    const gateway = addressIn(subnet, 1);
    await removeNamespace(namespace);
    await createNamespace(namespace);
    await plugRouter({ upstream, upstreamLink, namespace, publicAddress, gateway });
    await setRules(namespace, ROUTER_RULES);
    const destroy = async () => {
      const current = await readRecord(recordName);
      if (current !== undefined) await removeRecorded(current);
    };
    const parts = { name, bridge: 'lan', namespace, subnet, gateway, publicAddress };
    return {
      ...parts,
      nextAddress: siteAddresses(subnet, FIRST_FREE_HOST),
      ...linkFaults(namespace),
      destroy,
      [Symbol.asyncDispose]: destroy,
    };
  } catch (error) {
    await removeRecorded(record);
    throw error;
  }
}

/** Frames between nodes of the site pass the forward hook too where bridges call iptables. */
const ROUTER_RULES = `table ip router {
  chain forward {
    type filter hook forward priority filter; policy drop;
    ct state established,related accept
    iifname "lan" accept
  }
  chain input {
    type filter hook input priority filter; policy drop;
    ct state established,related accept
    iifname { "lo", "lan" } accept
  }
  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
    oifname "wan" masquerade
  }
}`;

/** Faults of the uplink, in a table of their own that is made anew for each. */
function linkFaults(
  namespace: string,
): Pick<NatSite, 'cutLink' | 'allowOnly' | 'restoreLink' | 'setLoss' | 'forgetConnections'> {
  // `add` before `delete`: deleting what is not there is an error.
  const replace = (rule: string) =>
    setRules(
      namespace,
      `add table ip faults
delete table ip faults
table ip faults {
  chain forward {
    type filter hook forward priority -300; policy accept;
    iifname "wan" ${rule}
    oifname "wan" ${rule}
  }
}`,
    );
  return {
    cutLink: () => replace('drop'),
    allowOnly: (address) => replace(`ip saddr != ${address} ip daddr != ${address} drop`),
    restoreLink: () => setRules(namespace, 'add table ip faults\ndelete table ip faults'),
    setLoss: (fraction) => replace(`numgen random mod 1000 < ${Math.round(fraction * 1000)} drop`),
    forgetConnections: async () => {
      await runOnHost([...inNamespace(namespace), 'conntrack', '--flush']);
    },
  };
}

async function setRules(namespace: string, rules: string): Promise<void> {
  await runOnHost([...inNamespace(namespace), 'nft', '-f', '-'], { input: rules });
}
