import type { z } from 'zod';
import { UserError } from '../base/errors.ts';
import { type ConfigLayer, layerFrom, mergeLayers } from './layers.ts';
import { nearest } from './nearest.ts';
import {
  entryKindOf,
  type FieldKind,
  fieldsOf,
  hasFreeKeys,
  kindOf,
  stepInto,
} from './schema-fields.ts';

type Schema = z.core.$ZodType;
type Environment = Readonly<Record<string, string | undefined>>;

const prefix = 'MINI_K8S_';

/** Variables of that prefix which are no settings: of this program to itself, of its tools and of its tests. */
const otherVariables: readonly string[] = [
  ...['TOKEN', 'DATA_DIR', 'STARTED_ANEW', 'INSTANCE', 'COMPONENT', 'COMPONENTS', 'EXECUTABLE'],
];

/** `spec.network.podCIDR` is set by `MINI_K8S_NETWORK_POD_CIDR`. */
export function variableOf(path: readonly string[]): string {
  const words = path[0] === 'spec' ? path.slice(1) : path;
  const snake = words.map((word) =>
    word
      .replace(/([a-z0-9])([A-Z])/g, '$1_$2')
      .replaceAll('-', '_')
      .toUpperCase(),
  );
  return `${prefix}${snake.join('_')}`;
}

/** The variables of an environment that are settings: what a service needs to mean the same as the shell. Pure. */
export function settingVariables(env: Environment): Record<string, string> {
  return Object.fromEntries(
    Object.entries(env).flatMap(([name, value]) =>
      isSetting(name) && value !== undefined && value !== '' ? [[name, value]] : [],
    ),
  );
}

/** What the environment says by `MINI_K8S_…`; a variable that is empty says nothing. */
export async function environmentLayer(env: Environment, schema: Schema): Promise<ConfigLayer> {
  const fields = new Map(fieldsOf(schema).map((field) => [variableOf(field.path), field]));
  const layers: ConfigLayer[] = [];
  for (const [name, text] of Object.entries(settingVariables(env))) {
    const field = fields.get(name);
    const layer =
      field === undefined
        ? unknownVariable(name, [...fields.keys()])
        : layerFrom(nest(field.path, await readValue(text, field.kind)), name);
    layers.push(layer);
  }
  return mergeLayers(layers);
}

/**
 * The proxy that a machine's own variables ask every program to use; the lower-case ones win, as with other programs.
 * Pure.
 */
export function proxyLayer(env: Environment): ConfigLayer {
  const find = (lower: string) => [lower, lower.toUpperCase()].find((name) => env[name]?.trim());
  const layers = [
    { name: find('https_proxy'), field: 'https' },
    { name: find('http_proxy'), field: 'http' },
    { name: find('no_proxy'), field: 'noProxy' },
  ].flatMap(({ name, field }) => {
    if (name === undefined) return [];
    const text = env[name]?.trim() ?? '';
    const value = field === 'noProxy' ? text.split(/[\s,]+/).filter(Boolean) : text;
    return [layerFrom(nest(['spec', 'proxy', field], value), name)];
  });
  return mergeLayers(layers);
}

/**
 * What `--set FIELD=VALUE` says, the last of two for one field.
 * @param settings `spec.api.port=6444`; the leading `spec.` may be left out.
 */
export async function flagLayer(settings: readonly string[], schema: Schema): Promise<ConfigLayer> {
  const layers: ConfigLayer[] = [];
  for (const setting of settings) layers.push(await readSetting(setting, schema));
  return mergeLayers(layers);
}

async function readSetting(setting: string, schema: Schema): Promise<ConfigLayer> {
  const at = setting.indexOf('=');
  if (at <= 0) {
    const fix = 'write it as --set spec.api.port=6444';
    return failed(
      new UserError({ what: 'use --set', why: `"${setting}" is not field=value`, fix }),
    );
  }
  const name = setting.slice(0, at);
  const words = name.split('.');
  const isWhole = ['spec', 'metadata', 'apiVersion', 'kind'].includes(words[0] ?? '');
  const { path, kind } = locate(isWhole ? words : ['spec', ...words], schema);
  const text = setting.slice(at + 1);
  if (/:\/\/[^/\s]*@/.test(text)) return failed(visibleSecret(name));
  return layerFrom(nest(path, await readValue(text, kind)), `--set ${name}`);
}

function visibleSecret(name: string): UserError {
  return new UserError({
    what: `use --set ${name}`,
    why: 'there is a password in it, and everybody on this machine sees a command line',
    fix: 'put it into a file of /etc/mini-k8s/config.yaml.d that only root can read (chmod 600)',
  });
}

/** The field that is meant; behind a mapping with free keys the rest is one key, dots and all. */
function locate(
  words: readonly string[],
  schema: Schema,
): { readonly path: readonly string[]; readonly kind: FieldKind } {
  let current = schema;
  for (const [index, word] of words.entries()) {
    if (hasFreeKeys(current)) {
      const path = [...words.slice(0, index), words.slice(index).join('.')];
      return { path, kind: entryKindOf(current) };
    }
    const next = stepInto(current, word);
    // A field that the schema does not know: it is refused there, with the nearest one.
    if (next === undefined) return { path: words, kind: 'any' };
    current = next;
  }
  return { path: words, kind: kindOf(current) };
}

/** The value that a text means for a field; what is none of that kind stays text, for the schema to refuse. */
async function readValue(text: string, kind: FieldKind): Promise<unknown> {
  switch (kind) {
    case 'text':
      return text;
    case 'number':
      return /^-?\d+(\.\d+)?$/.test(text) ? Number(text) : text;
    case 'switch':
      return text === 'true' || text === 'false' ? text === 'true' : text;
    case 'list':
      return text.startsWith('[') ? readYaml(text) : splitList(text);
    case 'mapping':
      return text.startsWith('{') ? readYaml(text) : splitPairs(text);
    case 'any':
      return readYaml(text);
  }
}

async function readYaml(text: string): Promise<unknown> {
  const { parseDocument } = await import('yaml');
  const document = parseDocument(text);
  return document.errors.length === 0 ? document.toJS({ maxAliasCount: 100 }) : text;
}

function splitList(text: string): string[] {
  return text.split(',').filter((part) => part !== '');
}

/** `a=b,c=d`; text where that is not what it is. */
function splitPairs(text: string): unknown {
  const pairs = splitList(text).map((pair) => [pair, pair.indexOf('=')] as const);
  if (pairs.some(([, at]) => at <= 0)) return text;
  return Object.fromEntries(pairs.map(([pair, at]) => [pair.slice(0, at), pair.slice(at + 1)]));
}

function nest(path: readonly string[], value: unknown): Readonly<Record<string, unknown>> {
  const [name, ...rest] = path;
  if (name === undefined) return {};
  return { [name]: rest.length === 0 ? value : nest(rest, value) };
}

function isSetting(name: string): boolean {
  return name.startsWith(prefix) && !otherVariables.includes(name.slice(prefix.length));
}

function unknownVariable(name: string, known: readonly string[]): ConfigLayer {
  const guess = nearest(
    name.slice(prefix.length),
    known.map((one) => one.slice(prefix.length)),
  );
  const hint =
    guess === undefined
      ? 'mini-k8s config variables lists them'
      : `did you mean ${prefix}${guess}?`;
  return failed(
    new UserError({ what: `use configuration ${name}`, why: `there is no such setting; ${hint}` }),
  );
}

function failed(error: UserError): ConfigLayer {
  return { document: {}, origins: new Map(), errors: [error] };
}
