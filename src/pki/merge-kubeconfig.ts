import type { Document, YAMLMap, YAMLSeq } from 'yaml';
import { UserError } from '../base/errors.ts';
import { readCertificates } from './certificate-reader.ts';
import { renderKubeconfig } from './kubeconfig.ts';

/** One cluster with one user and one context, keys embedded (PEM). */
export interface KubeconfigEntry {
  /** `https://host:port`. */
  readonly server: string;
  readonly clusterName: string;
  readonly userName: string;
  readonly contextName: string;
  readonly caData: string;
  readonly certData: string;
  /** A secret. */
  readonly keyData: string;
}

export interface MergedKubeconfig {
  /** Equal to what was there when nothing had to be changed. */
  readonly text: string;
  readonly currentContext: string;
}

/** A list of the file, and what one of its entries is made of: `clusters`, `cluster`. */
interface Section {
  readonly list: 'clusters' | 'users' | 'contexts';
  readonly field: 'cluster' | 'user' | 'context';
  readonly name: string;
  readonly values: Readonly<Record<string, string>>;
  /** Whether an entry by this name is an earlier one of ours. */
  readonly isOurs: (existing: Readonly<Record<string, unknown>>) => boolean;
}

/**
 * Puts an entry into the text of a kubeconfig. Everything else stays as it is, comments and order included; what a user
 * added to the entry stays too (`namespace`, `proxy-url`). The current context is set where there is none.
 * @param file its name, for messages.
 * @throws UserError for a text that is no kubeconfig, and for an entry by one of the names that is of another cluster.
 * @see https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/
 */
export async function mergeKubeconfig(
  text: string,
  entry: KubeconfigEntry,
  file: string,
): Promise<MergedKubeconfig> {
  const yaml = await import('yaml');
  const document = yaml.parseDocument(text);
  const { contents } = document;
  if (contents === null || (yaml.isScalar(contents) && contents.source === '')) {
    return { text: `${text}${renderKubeconfig(entry)}`, currentContext: entry.contextName };
  }
  requireKubeconfig(document, yaml, file);
  const merging = { document, yaml, entry, file };
  const changes = sectionsOf(entry).map((section) => mergeSection(section, merging));
  const current = document.get('current-context');
  const hasCurrent = typeof current === 'string' && current !== '';
  if (!hasCurrent) document.set('current-context', entry.contextName);
  return {
    text: changes.includes(true) || !hasCurrent ? document.toString({ lineWidth: 0 }) : text,
    currentContext: hasCurrent ? current : entry.contextName,
  };
}

type Yaml = typeof import('yaml');

interface Merging {
  readonly document: Document;
  readonly yaml: Yaml;
  readonly entry: KubeconfigEntry;
  readonly file: string;
}

function requireKubeconfig(
  document: ReturnType<Yaml['parseDocument']>,
  yaml: Yaml,
  file: string,
): void {
  const [problem] = document.errors;
  if (problem !== undefined) throw broken(file, problem.message.split('\n')[0] ?? '');
  if (!yaml.isMap(document.contents)) throw broken(file, 'it is not a mapping');
  const kind = document.get('kind') ?? 'Config';
  if (kind !== 'Config') throw broken(file, `its kind is ${JSON.stringify(kind)}`);
}

/** Returns whether anything had to be changed. */
function mergeSection(section: Section, { document, yaml, entry, file }: Merging): boolean {
  const list = document.get(section.list) ?? undefined;
  if (list !== undefined && !yaml.isSeq(list)) throw broken(file, `${section.list} is not a list`);
  const found = list?.items.filter(yaml.isMap).find((item) => item.get('name') === section.name);
  if (found === undefined) {
    add({ document, section, list });
    return true;
  }
  requireOurs(section, found, { file, entry });
  return update(section, found);
}

function sectionsOf(entry: KubeconfigEntry): Section[] {
  const { clusterName, userName, contextName } = entry;
  const [authority] = readCertificates(entry.caData) ?? [];
  return [
    {
      ...{ list: 'clusters', field: 'cluster', name: clusterName },
      values: { server: entry.server, 'certificate-authority-data': base64(entry.caData) },
      isOurs: (existing) => existing['certificate-authority-data'] === base64(entry.caData),
    },
    {
      ...{ list: 'users', field: 'user', name: userName },
      values: {
        'client-certificate-data': base64(entry.certData),
        'client-key-data': base64(entry.keyData),
      },
      isOurs: (existing) => {
        const data = Buffer.from(String(existing['client-certificate-data'] ?? ''), 'base64');
        const [certificate] = readCertificates(data.toString('utf8')) ?? [];
        return authority !== undefined && certificate?.verify(authority.publicKey) === true;
      },
    },
    {
      ...{ list: 'contexts', field: 'context', name: contextName },
      values: { cluster: clusterName, user: userName },
      isOurs: (existing) => existing['cluster'] === clusterName,
    },
  ];
}

function requireOurs(
  section: Section,
  found: YAMLMap,
  { file, entry }: { readonly file: string; readonly entry: KubeconfigEntry },
): void {
  const existing: unknown = (found.toJSON() as Record<string, unknown>)[section.field];
  const isMapping = typeof existing === 'object' && existing !== null;
  if (isMapping && section.isOurs(existing as Record<string, unknown>)) return;
  throw new UserError({
    what: `merge the cluster ${entry.clusterName} into ${file}`,
    why: `it has a ${section.field} "${section.name}" of another cluster`,
    fix: 'give this cluster another name with --name, or remove the old one with kubectl config',
  });
}

function add(options: {
  readonly document: Document;
  readonly section: Section;
  readonly list: YAMLSeq | undefined;
}): void {
  const { document, section, list } = options;
  const node = document.createNode({ name: section.name, [section.field]: section.values });
  if (list === undefined) document.set(section.list, document.createNode([node]));
  else list.add(node);
}

/** Sets what differs. Returns whether anything did. */
function update(section: Section, found: YAMLMap): boolean {
  const changed = Object.entries(section.values).filter(
    ([key, value]) => found.getIn([section.field, key]) !== value,
  );
  for (const [key, value] of changed) found.setIn([section.field, key], value);
  return changed.length > 0;
}

function base64(pem: string): string {
  return Buffer.from(pem).toString('base64');
}

function broken(file: string, why: string): UserError {
  return new UserError({
    what: `merge into ${file}`,
    why: `it cannot be read as a kubeconfig: ${why}`,
    fix: 'mend or move that file, or name another one: --merge FILE; it was not changed',
  });
}
