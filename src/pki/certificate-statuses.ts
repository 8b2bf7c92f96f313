import type { X509Certificate } from 'node:crypto';
import type { Clock } from '../base/time.ts';
import { commonNameOf, readCertificates } from './certificate-reader.ts';
import { renewalTimeMs } from './issue-reason.ts';
import { readPkiFile } from './pki-files.ts';
import type {
  AuthoritySpec,
  CertificateSpec,
  CertificateStatus,
  ReadableCertificateStatus,
} from './types.ts';

const dayMs = 24 * 60 * 60 * 1000;

/** The part of a `PkiPlan` that says where certificates lie. */
export interface CertificateFiles {
  readonly authorities: readonly Pick<AuthoritySpec, 'name' | 'certFile'>[];
  readonly certificates: readonly Pick<CertificateSpec, 'name' | 'certFile'>[];
}

/**
 * What is on the disk of every authority and leaf of the plan, authorities first, in the plan's order.
 * Reads only certificates, never a key.
 * @throws UserError when a file cannot be read (EACCES, a broken disk).
 */
export async function certificateStatuses(
  plan: CertificateFiles,
  clock: Clock,
): Promise<CertificateStatus[]> {
  const statuses: CertificateStatus[] = [];
  for (const { name, certFile } of [...plan.authorities, ...plan.certificates]) {
    const pem = await readPkiFile(certFile);
    const [certificate] = readCertificates(pem ?? '') ?? [];
    statuses.push(
      certificate === undefined
        ? { name, file: certFile, state: pem === undefined ? 'missing' : 'unreadable' }
        : { name, file: certFile, ...validity(certificate, clock.now()) },
    );
  }
  return statuses;
}

function validity(
  certificate: X509Certificate,
  nowMs: number,
): Omit<ReadableCertificateStatus, 'name' | 'file'> {
  const notAfterMs = certificate.validToDate.getTime();
  return {
    state: stateAt(certificate, nowMs),
    commonName: commonNameOf(certificate),
    notAfter: certificate.validToDate.toISOString(),
    daysLeft: Math.floor((notAfterMs - nowMs) / dayMs),
  };
}

function stateAt(certificate: X509Certificate, nowMs: number): ReadableCertificateStatus['state'] {
  if (nowMs < certificate.validFromDate.getTime()) return 'not-yet-valid';
  if (nowMs >= certificate.validToDate.getTime()) return 'expired';
  return nowMs >= renewalTimeMs(certificate) ? 'expiring' : 'valid';
}
