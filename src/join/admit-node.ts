import type { JoinRecord } from './join-records.ts';
import { JoinRefusal } from './join-refusal.ts';
import type { JoinRequest, NodeSite } from './types.ts';

/** What is known when a machine asks. */
export interface AdmissionFacts {
  readonly request: JoinRequest;
  readonly site: NodeSite;
  /** What was remembered of the name. */
  readonly current: JoinRecord | undefined;
  /** A node by this name is Ready, or has a tunnel session. */
  readonly isAlive: boolean;
  readonly nowMs: number;
}

/** A machine that joined this lately is alive, though it may not be Ready yet: its clone asks a second later. */
const joiningMs = 2 * 60_000;
/** `lastSeen` is written this often when nothing else changes. */
const lastSeenMs = 3_600_000;

/**
 * The record of a machine that joins with a token. Pure.
 * @throws JoinRefusal 409 when another machine lives by this name, naming both machine ids.
 */
export function admitJoin(facts: AdmissionFacts, tokenId: string): JoinRecord {
  const { request, site, current, nowMs } = facts;
  const now = new Date(nowMs).toISOString();
  refuseRival(facts);
  return {
    nodeName: request.nodeName,
    machineId: request.machineId,
    ...bootIds(request, current),
    tokenId,
    joinedAt: now,
    addresses: request.addresses,
    site,
    lastSeen: now,
  };
}

/**
 * The record of a node that asks again with its certificate; undefined when it need not be written. Pure.
 * @throws JoinRefusal 403 for a node that was removed or never joined, 409 for another machine with its certificate.
 */
export function admitRefresh(facts: Omit<AdmissionFacts, 'isAlive'>): JoinRecord | undefined {
  const { request, site, current, nowMs } = facts;
  const { nodeName, machineId } = request;
  if (current === undefined || current.machineId === '') throw unknownNode(nodeName);
  if (current.removedAt !== undefined) throw removedNode(nodeName, current.removedAt);
  if (current.machineId !== machineId) {
    throw new JoinRefusal({
      status: 409,
      reason: 'NameTaken',
      message: `the certificate of node ${nodeName} belongs to machine ${current.machineId}, and this is machine ${machineId}`,
      fix: copiedDiskFix,
    });
  }
  const changed: JoinRecord = {
    ...current,
    ...bootIds(request, current),
    addresses: request.addresses,
    site,
  };
  const isSame =
    JSON.stringify({ ...changed, previousBootId: '' }) ===
    JSON.stringify({ ...current, previousBootId: '' });
  const isFresh = Math.abs(nowMs - Date.parse(current.lastSeen)) < lastSeenMs;
  if (isSame && isFresh) return undefined;
  return { ...changed, lastSeen: new Date(nowMs).toISOString() };
}

/** A boot id that was there, went and comes back: two machines use one identity. */
export function isTwoMachines(
  request: Pick<JoinRequest, 'bootId'>,
  current: Pick<JoinRecord, 'bootId' | 'previousBootId'> | undefined,
): boolean {
  return current?.previousBootId === request.bootId && current.bootId !== request.bootId;
}

const copiedDiskFix =
  'if its disk was copied: mini-k8s reset --yes there, a new machine id (rm /etc/machine-id; systemd-machine-id-setup), another host name, and a fresh token';

function bootIds(request: JoinRequest, current: JoinRecord | undefined) {
  const { bootId } = request;
  if (current === undefined || current.bootId === '') return { bootId };
  const previousBootId = current.bootId === bootId ? current.previousBootId : current.bootId;
  return { bootId, ...(previousBootId === undefined ? {} : { previousBootId }) };
}

function refuseRival(facts: AdmissionFacts): void {
  const { request, current, isAlive, nowMs } = facts;
  const isRemoved = current?.removedAt !== undefined;
  if (current === undefined || current.machineId === '') {
    if (isAlive && !isRemoved) throw takenByUnknown(request);
    return;
  }
  // A rival that came in the same moment may have read its clock later, and so may another controller.
  const isJoining = Math.abs(nowMs - Date.parse(current.joinedAt)) < joiningMs;
  if (isRemoved || !(isAlive || isJoining)) return;
  if (current.machineId !== request.machineId) throw takenByOther(request, current, isAlive);
  // The same machine again, in the same boot: its first answer was lost, or it was reset.
  if (current.bootId !== request.bootId) throw takenByClone(request);
}

function takenByOther(request: JoinRequest, current: JoinRecord, isAlive: boolean): JoinRefusal {
  const { nodeName } = request;
  const state = isAlive ? 'is alive' : `joined at ${current.joinedAt}`;
  return new JoinRefusal({
    status: 409,
    reason: 'NameTaken',
    message: `the node name ${nodeName} is taken: machine ${current.machineId} has it and ${state}, and this is machine ${request.machineId}`,
    fix: `give this machine another name with --node-name; if it replaces the other one: mini-k8s node remove ${nodeName} on a controller`,
  });
}

function takenByClone(request: JoinRequest): JoinRefusal {
  const { nodeName, machineId } = request;
  return new JoinRefusal({
    status: 409,
    reason: 'NameTaken',
    message: `the node name ${nodeName} is taken: a machine with the same machine id ${machineId} as this machine's ${machineId} is alive in another boot, so two machines have one identity, or this one has just been restarted`,
    fix: `after a restart, try again in two minutes; for a copied image, make a new machine id (rm /etc/machine-id; systemd-machine-id-setup) and choose another name with --node-name`,
  });
}

function takenByUnknown(request: JoinRequest): JoinRefusal {
  const { nodeName, machineId } = request;
  return new JoinRefusal({
    status: 409,
    reason: 'NameTaken',
    message: `the node name ${nodeName} is taken by a node that did not join with a token, such as a controller, and this is machine ${machineId}`,
    fix: 'give this machine another name with --node-name',
  });
}

function unknownNode(nodeName: string): JoinRefusal {
  return new JoinRefusal({
    status: 403,
    reason: 'NodeUnknown',
    message: `node ${nodeName} has not joined this cluster with a token`,
    fix: rejoinFix,
  });
}

function removedNode(nodeName: string, removedAt: string): JoinRefusal {
  return new JoinRefusal({
    status: 403,
    reason: 'NodeRemoved',
    message: `node ${nodeName} was removed from the cluster at ${removedAt}`,
    fix: rejoinFix,
  });
}

const rejoinFix =
  'join again with a fresh token of "mini-k8s token create": mini-k8s worker --token-file FILE';
