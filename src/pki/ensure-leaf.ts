import { createPublicKey, type KeyObject } from 'node:crypto';
import { UserError } from '../base/errors.ts';
import type { Authority } from './certificate-builder.ts';
import { readPrivateKey } from './certificate-reader.ts';
import { parseIpOctets } from './ip-octets.ts';
import { issueReasonFor } from './issue-reason.ts';
import { ensureAccess, privateMode, publicMode, readPkiFile, writePkiFile } from './pki-files.ts';
import { createPrivateKeyFile } from './private-key.ts';
import type { CertificateSpec, IssueReason } from './types.ts';

/** Makes a leaf what its spec says. Returns why it was issued, undefined when nothing was to be done. */
export async function ensureLeaf(
  spec: CertificateSpec,
  context: { readonly authority: Authority; readonly nowMs: number },
): Promise<IssueReason | undefined> {
  const { uid, gid } = spec;
  const certPem = await readPkiFile(spec.certFile);
  const keyPem = await readPkiFile(spec.keyFile);
  const reason = issueReasonFor(spec, { certPem, keyPem }, context);
  if (reason !== undefined) {
    refuseInvalidAuthority(spec, context);
    const kept = keepsKey(reason) ? readPrivateKey(keyPem ?? '') : undefined;
    const publicKey = createPublicKey(
      kept ?? (await createPrivateKeyFile(spec.keyFile, { uid, gid })),
    );
    await writePkiFile(spec.certFile, await issue(spec, publicKey, context), {
      mode: publicMode,
      uid,
      gid,
    });
  }
  await ensureAccess(spec.keyFile, { mode: privateMode, uid, gid });
  await ensureAccess(spec.certFile, { mode: publicMode, uid, gid });
  return reason;
}

/**
 * Problems of a spec that a user's settings can cause.
 * A name with a comma or a line break would also be read back differently than it was written.
 */
export function leafProblems(spec: CertificateSpec): UserError[] {
  const dnsName =
    /^(\*\.)?[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*$/;
  const badNames = spec.dnsNames.filter((name) => name.length > 253 || !dnsName.test(name));
  const badAddresses = spec.ipAddresses.filter((address) => parseIpOctets(address) === undefined);
  const problem = (value: string, kind: string, fix: string) =>
    new UserError({
      what: `issue the certificate ${spec.name}`,
      why: `${JSON.stringify(value)} is not ${kind}`,
      fix,
    });
  return [
    ...badNames.map((name) =>
      problem(name, 'a DNS name', 'give a host name without port or scheme'),
    ),
    ...badAddresses.map((ip) =>
      problem(ip, 'an IP address', 'give an address without port or zone'),
    ),
  ];
}

/**
 * While key and certificate belong together the key stays: the new certificate replaces the old one in one atomic
 * step, so that a program that reloads both files, or a power cut, never meets two that do not match.
 */
function keepsKey(reason: IssueReason): boolean {
  switch (reason) {
    case 'expiring':
    case 'not-yet-valid':
    case 'subject-changed':
    case 'sans-changed':
    case 'usage-changed':
      return true;
    case 'missing':
    case 'unreadable':
    case 'key-mismatch':
    case 'authority-changed':
      return false;
  }
}

async function issue(
  spec: CertificateSpec,
  publicKey: KeyObject,
  context: { readonly authority: Authority; readonly nowMs: number },
): Promise<string> {
  const { buildLeafCertificate } = await import('./certificate-builder.ts');
  const leaf = buildLeafCertificate({ subject: spec, publicKey, ...context });
  return spec.includeAuthority === true ? leaf + context.authority.certificate.toString() : leaf;
}

/** @throws UserError when the authority is not valid now: nothing that it signs would be believed. */
export function refuseInvalidAuthority(
  spec: Pick<CertificateSpec, 'name' | 'authority'>,
  context: { readonly authority: Authority; readonly nowMs: number },
): void {
  const { validFromDate, validToDate } = context.authority.certificate;
  const isValid = context.nowMs >= validFromDate.getTime() && context.nowMs < validToDate.getTime();
  if (isValid) return;
  throw new UserError({
    what: `issue the certificate ${spec.name}`,
    why:
      `the certificate authority ${spec.authority} is valid from ${validFromDate.toISOString()} ` +
      `until ${validToDate.toISOString()}, and the clock says ${new Date(context.nowMs).toISOString()}`,
    fix: "set the machine's clock",
  });
}
