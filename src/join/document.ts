import type { X509Certificate } from 'node:crypto';
import { parseHostPort } from '../base/host-port.ts';
import { readCertificates } from '../pki/certificate-reader.ts';
import type { JoinDocument } from './types.ts';

const knownVersion = 1;

/**
 * The join document that a parsed JSON value is. Fields that are not known are left out.
 * @throws SyntaxError that names the first field that is wrong, as it continues "the join document: ".
 */
export function parseJoinDocument(value: unknown): JoinDocument {
  const fields = readObject(value);
  if (fields === undefined) throw new SyntaxError('it is not a JSON object');
  if (fields['version'] !== knownVersion) {
    const found = typeof fields['version'] === 'number' ? String(fields['version']) : 'unknown';
    throw new SyntaxError(
      `it is of version ${found}, and this mini-k8s reads version ${knownVersion}: use the same mini-k8s on all machines`,
    );
  }
  for (const [name, rule] of Object.entries(rules)) {
    const problem = rule(fields[name]);
    if (problem !== undefined) throw new SyntaxError(`${name} ${problem}`);
  }
  const document = fields as unknown as JoinDocument;
  const { ca, apiServers, gateways, config, kubernetesVersion, site, artifacts } = document;
  return {
    version: knownVersion,
    ca,
    apiServers,
    gateways,
    config,
    kubernetesVersion,
    site: { name: site.name, isBehindNat: site.isBehindNat },
    artifacts: artifacts.map(({ name, repository, digest }) => ({ name, repository, digest })),
  };
}

type Rule = (value: unknown) => string | undefined;

const rules: Readonly<Record<Exclude<keyof JoinDocument, 'version'>, Rule>> = {
  ca: (value) => (isAuthority(value) ? undefined : 'is not the PEM of certificate authorities'),
  apiServers: servers,
  gateways: servers,
  config: (value) => (readObject(value) === undefined ? 'is not an object' : undefined),
  kubernetesVersion: (value) =>
    isMatch(value, /^v?\d+\.\d+\.\d+[\w.+-]*$/) ? undefined : 'is not a version',
  site: (value) => {
    const site = readObject(value);
    const isSite =
      isMatch(site?.['name'], /^[A-Za-z0-9]([\w.-]{0,61}[A-Za-z0-9])?$/) &&
      typeof site?.['isBehindNat'] === 'boolean';
    return isSite ? undefined : 'is not a site with a name and isBehindNat';
  },
  artifacts: (value) => {
    if (!Array.isArray(value)) return 'is not a list';
    const index = value.findIndex((entry: unknown) => !isArtifact(entry));
    return index === -1 ? undefined : `has an entry (${index}) without name, repository and digest`;
  },
};

function servers(value: unknown): string | undefined {
  if (!Array.isArray(value) || value.length === 0) return 'is not a list of at least one server';
  const bad: unknown = value.find(
    (entry) => typeof entry !== 'string' || parseHostPort(entry) === undefined,
  );
  return bad === undefined ? undefined : `has ${JSON.stringify(bad)}, which is not <host>:<port>`;
}

function isArtifact(value: unknown): boolean {
  const fields = readObject(value);
  return (
    isMatch(fields?.['name'], /^[\x20-\x7e]{1,300}$/) &&
    isMatch(
      fields?.['repository'],
      /^[a-z0-9]+([._-]+[a-z0-9]+)*(\/[a-z0-9]+([._-]+[a-z0-9]+)*)*$/,
    ) &&
    isMatch(fields?.['digest'], /^sha256:[0-9a-f]{64}$/)
  );
}

function isAuthority(value: unknown): boolean {
  if (typeof value !== 'string') return false;
  return readCertificates(value)?.every((certificate: X509Certificate) => certificate.ca) ?? false;
}

function isMatch(value: unknown, pattern: RegExp): boolean {
  return typeof value === 'string' && pattern.test(value);
}

function readObject(value: unknown): Readonly<Record<string, unknown>> | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  return { ...value };
}
