import { UserError } from '../base/errors.ts';
import { certificateStatuses } from '../pki/certificate-statuses.ts';
import type { CertificateStatus, ReadableCertificateStatus } from '../pki/types.ts';
import type { Examination, Verdict } from './types.ts';

export interface CertificateFacts {
  readonly authorities: readonly CertificateStatus[];
  readonly leaves: readonly CertificateStatus[];
  /** On a controller this program renews all of them; on a worker the kubelet asks for its own. */
  readonly hasControlPlane: boolean;
  readonly isRunning: boolean;
}

/** A leaf is renewed when a third of its year is left: with less than this, nobody has. */
const overdueDays = 30;
/** Everything that trusts an authority must learn the next one: that takes planning. */
const authorityNoticeDays = 365;

export async function examineCertificates(machine: Examination): Promise<Verdict[]> {
  const { authorities, certificates, clock, isRoot, hasControlPlane, isRunning } = machine;
  if (!isRoot) return [{ state: 'skipped', why: 'it needs root' }];
  try {
    return judgeCertificates({
      authorities: await certificateStatuses({ authorities, certificates: [] }, clock),
      leaves: await certificateStatuses({ authorities: [], certificates }, clock),
      hasControlPlane,
      isRunning,
    });
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    const { what, why, fix } = error;
    return [{ state: 'fail', prevents: what, why, ...(fix === undefined ? {} : { fix }) }];
  }
}

/** Pure. */
export function judgeCertificates(facts: CertificateFacts): Verdict[] {
  const all = [...facts.authorities, ...facts.leaves];
  const readable = all.filter(isReadable);
  if (readable.length === 0 && all.every(({ state }) => state === 'missing')) {
    return [{ state: 'ok', what: 'there are none yet' }];
  }
  const verdicts = [
    ...facts.authorities.flatMap(judgeAuthority),
    ...facts.leaves.flatMap((status) => judgeLeaf(status, facts)),
  ];
  if (verdicts.length > 0) return verdicts;
  const first = readable.toSorted((a, b) => a.daysLeft - b.daysLeft)[0];
  const next =
    first === undefined ? '' : `; ${first.name} expires first, in ${first.daysLeft} days`;
  return [{ state: 'ok', what: `all ${readable.length} are valid${next}` }];
}

function judgeAuthority(status: CertificateStatus): Verdict[] {
  if (!isReadable(status)) return judgeLost(status);
  const { name, state, notAfter, daysLeft, file } = status;
  if (state === 'not-yet-valid') return [notYetValid(status)];
  if (state === 'expired') {
    const why = `${file} has expired at ${notAfter}: nothing that it signed is trusted any more`;
    const fix = 'if the clock is right, make a new cluster: mini-k8s reset --yes';
    return [{ state: 'fail', prevents: `use the authority ${name}`, why, fix }];
  }
  if (daysLeft >= authorityNoticeDays) return [];
  const what = `the authority ${name} expires in ${daysLeft} days`;
  const why = `after ${notAfter} nothing that it signed is trusted any more`;
  return [{ state: 'warn', what, why, fix: 'plan a new cluster before that day' }];
}

function judgeLeaf(status: CertificateStatus, facts: CertificateFacts): Verdict[] {
  if (!isReadable(status)) return judgeLost(status);
  if (status.state === 'not-yet-valid') return [notYetValid(status)];
  if (status.state === 'expired') return [judgeExpired(status, facts)];
  if (status.state === 'valid' || status.daysLeft >= overdueDays) return [];
  const what = `${status.name} expires in ${status.daysLeft} days`;
  if (!facts.isRunning) {
    const why = 'it is renewed while the node runs, and the node does not run';
    return [{ state: 'warn', what, why, fix: 'start the node for an hour: mini-k8s start' }];
  }
  const why = facts.hasControlPlane
    ? 'it should have been renewed when a third of its life was left'
    : 'the kubelet should have renewed it, and needs a controller for that';
  return [{ state: 'warn', what, why, fix: 'look for the reason: mini-k8s status' }];
}

function judgeExpired(status: ReadableCertificateStatus, facts: CertificateFacts): Verdict {
  const { name, file, notAfter } = status;
  const why = `${file} has expired at ${notAfter}`;
  if (facts.hasControlPlane) {
    const fix = facts.isRunning
      ? 'look for what keeps it from being renewed: mini-k8s status'
      : 'start the node, which renews it: mini-k8s start';
    return { state: 'warn', what: `${name} is not valid any more`, why, fix };
  }
  const fix = 'join again with a fresh token: mini-k8s worker --token-file FILE';
  return { state: 'fail', prevents: 'reach the cluster', why, fix };
}

function notYetValid({ file, name }: ReadableCertificateStatus): Verdict {
  const why = `${file} was made by a clock that said more than this one`;
  const fix = "set the machine's clock; what was made too late is renewed by itself";
  return { state: 'warn', what: `${name} is not valid yet`, why, fix };
}

/** What is missing is made at the next start; what cannot be read too, except an authority. */
function judgeLost({ state, file, name }: CertificateStatus): Verdict[] {
  if (state === 'missing') return [];
  const fix = `put it back from a backup; a leaf may be removed, and is made again: rm ${file}`;
  return [
    { state: 'fail', prevents: `use the certificate ${name}`, why: `${file} is damaged`, fix },
  ];
}

function isReadable(status: CertificateStatus): status is ReadableCertificateStatus {
  return 'daysLeft' in status;
}
