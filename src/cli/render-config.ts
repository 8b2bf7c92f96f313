import type { Node } from 'yaml';
import { defaultConfig } from '../config/parse.ts';
import type { ClusterConfig } from '../config/types.ts';
import type { StructuredFormat } from './structured-output.ts';
import { renderTable } from './table.ts';

/** The default configuration as a file to begin with: an editor that knows the schema completes it. */
export async function renderDefaultFile(): Promise<string> {
  const [{ stringify }, { schemaFileName }] = await Promise.all([
    import('yaml'),
    import('../config/json-schema.ts'),
  ]);
  return [
    `# yaml-language-server: $schema=./${schemaFileName}`,
    `# The schema that it names is what "mini-k8s config schema" prints. Nothing here has to be said: these are the defaults.`,
    stringify(await defaultConfig()),
  ].join('\n');
}

/** The fields and their variables, for whoever configures by the environment. */
export async function renderVariables(): Promise<string> {
  const [{ clusterConfigSchema }, { fieldsOf }, { variableOf }] = await Promise.all([
    import('../config/schema.ts'),
    import('../config/schema-fields.ts'),
    import('../config/settings.ts'),
  ]);
  const fields = fieldsOf(clusterConfigSchema).filter(({ path }) => path.length > 1);
  return renderTable([
    ['FIELD', 'VARIABLE', 'KIND'],
    ...fields.map(({ path, kind }) => [path.join('.'), variableOf(path), kind]),
  ]);
}

/** The configuration without passwords. */
export function withoutSecrets(config: ClusterConfig): ClusterConfig {
  const hide = (url: string) => url.replace(/^([a-z]+:\/\/)?[^/@]*(:[^/]*)?@/, '$1***@');
  const { proxy } = config.spec;
  return {
    ...config,
    spec: {
      ...config.spec,
      proxy: { ...proxy, http: hide(proxy.http), https: hide(proxy.https) },
    },
  };
}

/** The configuration with the place behind each value that set it. */
export async function renderOrigins(
  config: ClusterConfig,
  origins: ReadonlyMap<string, string>,
  format: StructuredFormat,
): Promise<string> {
  const yaml = await import('yaml');
  const document = new yaml.Document(config);
  const leaves = leavesOf(document.contents, { yaml, path: '', around: undefined, origins });
  if (format === 'json') {
    const fields = leaves.map(({ node, field, origin }) => ({
      field,
      value: node.toJS(document) as unknown,
      origin,
    }));
    return `${JSON.stringify(fields, null, 2)}\n`;
  }
  for (const { node, origin } of leaves) node.comment = ` ${origin}`;
  // Of an empty list or mapping the library puts each on a line of its own.
  return document.toString().replace(/:\n\s+(\[\]|\{\})\n\s+#/g, ': $1 #');
}

interface Leaf {
  readonly node: Node;
  readonly field: string;
  readonly origin: string;
}

interface Place {
  readonly yaml: typeof import('yaml');
  readonly path: string;
  /** Of the list that it stands in. */
  readonly around: string | undefined;
  readonly origins: ReadonlyMap<string, string>;
}

/** Every value that holds no other one. */
function leavesOf(node: unknown, place: Place): Leaf[] {
  const { yaml, path, origins } = place;
  const origin = origins.get(path) ?? place.around;
  const below = (name: string) => (path === '' ? name : `${path}.${name}`);
  if (yaml.isMap(node) && node.items.length > 0) {
    return node.items.flatMap(({ key, value }) => {
      const name = String(yaml.isScalar(key) ? key.value : key);
      return leavesOf(value, { ...place, path: below(name), around: undefined });
    });
  }
  if (yaml.isSeq(node) && node.items.length > 0) {
    return node.items.flatMap((item, index) =>
      leavesOf(item, { ...place, path: below(String(index)), around: origin }),
    );
  }
  return yaml.isNode(node) ? [{ node, field: path, origin: origin ?? 'default' }] : [];
}
