/** As much of JSON Schema as our configuration needs. */
interface Schema {
  readonly type?: string;
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly default?: unknown;
  readonly description?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: Schema | boolean;
  readonly items?: Schema;
  readonly anyOf?: readonly Schema[];
}

/** One field of the configuration, and what is said of it. */
export interface ConfigField {
  /** `spec.node.labels`. */
  readonly path: string;
  /** `true or false`, `number from 1 to 65535`, `list of text`. */
  readonly values: string;
  /** As it is written in YAML; empty when there is none. */
  readonly default: string;
  readonly description: string;
}

/** A table of every field for each part of `spec`. Pure. @param schema the configuration's JSON Schema, of its input. */
export function renderConfigurationReference(schema: unknown): string {
  const groups = Map.groupBy(fieldsOf(schema), ({ path }) => groupOf(path));
  return [...groups]
    .flatMap(([group, fields]) => [
      ...['', `### ${group}`, '', '| field | values | default | meaning |', '|---|---|---|---|'],
      ...fields.map(
        (field) =>
          `| \`${field.path}\` | ${cell(field.values)} | ${field.default === '' ? '' : `\`${cell(field.default)}\``} | ${cell(field.description)} |`,
      ),
    ])
    .slice(1)
    .join('\n');
}

/** Every field that can be set, in the order of the schema. Pure. */
export function fieldsOf(schema: unknown): ConfigField[] {
  return walk('', schema as Schema, '');
}

function walk(path: string, schema: Schema, inherited: string): ConfigField[] {
  const description = schema.description ?? inherited;
  const properties = Object.entries(schema.properties ?? {});
  if (properties.length > 0) {
    return properties.flatMap(([name, child]) =>
      walk(
        path === '' ? name : `${path}.${name}`,
        child,
        properties.length === 1 ? description : '',
      ),
    );
  }
  return [{ path, values: valuesOf(schema), default: defaultOf(schema), description }];
}

function valuesOf(schema: Schema): string {
  if (schema.const !== undefined) return `\`${String(schema.const)}\``;
  if (schema.enum !== undefined)
    return schema.enum.map((value) => `\`${String(value)}\``).join(', ');
  if (schema.anyOf !== undefined) return schema.anyOf.map(valuesOf).join(' or ');
  switch (schema.type) {
    case 'boolean':
      return '`true`, `false`';
    case 'integer':
    case 'number':
      return rangeOf(schema);
    case 'array':
      return schema.items?.properties === undefined
        ? `list of ${valuesOf(schema.items ?? {})}`
        : 'list of mappings';
    case 'object':
      return mapOf(schema);
    default:
      return 'text';
  }
}

function rangeOf({ minimum, maximum }: Schema): string {
  const isBounded = minimum !== undefined && maximum !== undefined && maximum < 2 ** 53 - 1;
  return isBounded ? `number from ${minimum} to ${maximum}` : 'number';
}

function mapOf({ additionalProperties }: Schema): string {
  return typeof additionalProperties === 'object'
    ? `mapping to ${valuesOf(additionalProperties)}`
    : 'mapping';
}

function defaultOf(schema: Schema): string {
  return schema.default === undefined ? '' : JSON.stringify(schema.default);
}

/** `spec.network`; fields of `spec` itself are among `spec`. */
function groupOf(path: string): string {
  const parts = path.split('.');
  if (parts[0] !== 'spec') return 'The document';
  return parts.length > 2 ? parts.slice(0, 2).join('.') : 'spec';
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('\n', ' ');
}
