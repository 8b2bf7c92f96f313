import type { Document, LineCounter, Node } from 'yaml';
import { UserError } from '../base/errors.ts';
import { type ConfigLayer, isMapping } from './layers.ts';

/**
 * The layer that a YAML or JSON text is.
 * @param source the file's name, for messages.
 */
export async function readYamlLayer(text: string, source: string): Promise<ConfigLayer> {
  const { LineCounter, parseDocument } = await import('yaml');
  const lines = new LineCounter();
  const document = parseDocument(text, { prettyErrors: true, lineCounter: lines });
  const broken = document.errors.map((error) => error.message.split('\n')[0] ?? error.message);
  if (broken.length > 0) return failedLayer(source, broken);
  try {
    const value: unknown = document.toJS({ maxAliasCount: 100 }) ?? {};
    if (!isMapping(value)) return failedLayer(source, ['the document is not a mapping']);
    return { document: value, origins: await findOrigins(document, lines, source), errors: [] };
  } catch (error) {
    // An alias without its anchor, or aliases that multiply without end.
    if (!(error instanceof ReferenceError)) throw error;
    return failedLayer(source, [error.message]);
  }
}

function failedLayer(source: string, whys: readonly string[]): ConfigLayer {
  return {
    document: {},
    origins: new Map(),
    isUnreadable: true,
    errors: whys.map((why) => new UserError({ what: `use configuration ${source}`, why })),
  };
}

/** `FILE:LINE` of every key and entry. */
async function findOrigins(
  document: Document,
  lines: LineCounter,
  source: string,
): Promise<ReadonlyMap<string, string>> {
  const { isMap, isScalar, isSeq } = await import('yaml');
  const origins = new Map<string, string>();
  const note = (path: string, node: unknown) => {
    const [offset] = (node as Partial<Node> | null)?.range ?? [];
    if (offset !== undefined) origins.set(path, `${source}:${lines.linePos(offset).line}`);
  };
  const visit = (node: unknown, prefix: string) => {
    if (isMap(node)) {
      for (const { key, value } of node.items) {
        const path = `${prefix}${String(isScalar(key) ? key.value : key)}`;
        note(path, key);
        visit(value, `${path}.`);
      }
    }
    if (isSeq(node)) {
      for (const [index, item] of node.items.entries()) {
        note(`${prefix}${index}`, item);
        visit(item, `${prefix}${index}.`);
      }
    }
  };
  visit(document.contents, '');
  return origins;
}
