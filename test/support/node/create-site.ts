import { addressIn, claimSubnet, createBridge, linkName, siteAddresses } from './network.ts';
import {
  claimRecord,
  type NodeRecord,
  ownerOfThisProcess,
  readRecord,
  saveRecord,
  siteRecordName,
} from './node-record.ts';
import { cleanStaleNodes, removeRecorded } from './remove-node.ts';
import type { Site } from './types.ts';

/** Makes an Ethernet segment for nodes: a bridge on the host, which is its gateway. Destroy its nodes first. */
export async function createSite(name: string): Promise<Site> {
  await cleanStaleNodes();
  const bridge = linkName('bridge', name);
  let record: NodeRecord = {
    kind: 'site',
    name: siteRecordName(name),
    owner: await ownerOfThisProcess(),
    isPersistent: false,
    links: [bridge],
    nftTables: [],
    forwardRules: [],
    sysctls: [],
  };
  await claimRecord(record);
  try {
    const subnet = await claimSubnet(record.name);
    record = { ...record, subnet };
    await saveRecord(record);
    const gateway = addressIn(subnet, 1);
    await createBridge(bridge, gateway);
    return siteHandle(name, { bridge, subnet, gateway });
  } catch (error) {
    await removeRecorded(record);
    throw error;
  }
}

function siteHandle(name: string, parts: Pick<Site, 'bridge' | 'subnet' | 'gateway'>): Site {
  const destroy = async () => {
    const record = await readRecord(siteRecordName(name));
    if (record !== undefined) await removeRecorded(record);
  };
  return {
    name,
    ...parts,
    nextAddress: siteAddresses(parts.subnet, 2),
    destroy,
    [Symbol.asyncDispose]: destroy,
  };
}
