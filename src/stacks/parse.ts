import type { Document, LineCounter, ScalarTag, YAMLError } from 'yaml';
import { UserError } from '../base/errors.ts';
import type { KubeObject } from '../kube-client/types.ts';

type Yaml = typeof import('yaml');

/** One manifest file that was read. */
export interface ManifestText {
  /** File name, for messages. */
  readonly file: string;
  readonly text: string;
}

/**
 * The objects of a manifest file: YAML with any number of documents, or JSON; Lists are taken apart. Values are read as
 * kubectl reads them (YAML 1.1: `0644` is octal, `yes` a boolean; but no dates and no base-60 numbers).
 * The YAML library is loaded at the first call.
 * @throws UserError that names file and line.
 */
export async function parseManifest(manifest: ManifestText): Promise<readonly KubeObject[]> {
  const yaml = await import('yaml');
  return splitDocuments(manifest.text).flatMap((part) => {
    const value = parseDocumentPart(yaml, manifest.file, part);
    return value === null || value === undefined ? [] : objectsIn(value, manifest.file, part.line);
  });
}

interface DocumentPart {
  readonly text: string;
  /** Line of the file at which the part begins, from 1. */
  readonly line: number;
}

/** One document after the other keeps the syntax trees small: a file of CustomResourceDefinitions may have megabytes. */
function splitDocuments(text: string): readonly DocumentPart[] {
  const parts: DocumentPart[] = [];
  let lines: string[] = [];
  let start = 1;
  for (const [index, line] of text.split('\n').entries()) {
    if (/^---(\s|$)/.test(line) && lines.length > 0) {
      parts.push({ text: lines.join('\n'), line: start });
      lines = [];
      start = index + 1;
    }
    lines.push(line);
  }
  parts.push({ text: lines.join('\n'), line: start });
  return parts;
}

function parseDocumentPart(yaml: Yaml, file: string, part: DocumentPart): unknown {
  const lineCounter = new yaml.LineCounter();
  const document = yaml.parseDocument(part.text, {
    version: '1.1',
    prettyErrors: false,
    logLevel: 'silent',
    lineCounter,
    customTags: (tags) => [...tags.filter((tag) => !isForeignTag(tag)), binaryTag, octalTag],
  });
  const [error] = document.errors;
  if (error !== undefined) {
    throw unreadable(file, lineOf(error, lineCounter) + part.line - 1, error.message);
  }
  return toValue(document, file, part.line);
}

/** What Kubernetes' own parser reads otherwise: dates and base-60 numbers are text there, and binary text is decoded. */
function isForeignTag(tag: unknown): boolean {
  if (typeof tag !== 'object' || tag === null || !('tag' in tag)) return false;
  const isTime = 'format' in tag && tag.format === 'TIME';
  return isTime || tag.tag === 'tag:yaml.org,2002:timestamp' || tag.tag === binaryTag.tag;
}

const binaryTag = {
  tag: 'tag:yaml.org,2002:binary',
  resolve: (text: string) => Buffer.from(text, 'base64').toString('utf8'),
} satisfies ScalarTag;

/** `0o17` belongs to YAML 1.2 and is understood nevertheless. */
const octalTag = {
  tag: 'tag:yaml.org,2002:int',
  default: true,
  test: /^0o[0-7_]+$/,
  resolve: (text: string) => Number.parseInt(text.slice(2).replaceAll('_', ''), 8),
} satisfies ScalarTag;

function lineOf(error: YAMLError, lineCounter: LineCounter): number {
  return Math.max(1, lineCounter.linePos(error.pos[0]).line);
}

/** Aliases are resolved here; too many of them (a "billion laughs" file) are refused by the library. */
function toValue(document: Document.Parsed, file: string, line: number): unknown {
  try {
    return document.toJS();
  } catch (error) {
    if (error instanceof ReferenceError) throw unreadable(file, line, error.message);
    throw error;
  }
}

function objectsIn(value: unknown, file: string, line: number): readonly KubeObject[] {
  if (!isRecord(value)) throw unreadable(file, line, 'not a Kubernetes object');
  const { apiVersion, kind, metadata, items } = value;
  if (typeof apiVersion !== 'string' || apiVersion === '') {
    throw unreadable(file, line, 'apiVersion is missing');
  }
  if (typeof kind !== 'string' || kind === '') throw unreadable(file, line, 'kind is missing');
  if (kind.endsWith('List') && Array.isArray(items)) {
    return items.flatMap((item) => objectsIn(item, file, line));
  }
  if (!isRecord(metadata) || typeof metadata['name'] !== 'string' || metadata['name'] === '') {
    throw unreadable(file, line, `${kind} has no metadata.name`);
  }
  const { namespace } = metadata;
  if (namespace !== undefined && namespace !== null && typeof namespace !== 'string') {
    throw unreadable(
      file,
      line,
      `${kind} ${metadata['name']} has a metadata.namespace that is not text`,
    );
  }
  return [{ ...value, metadata: withoutEmptyNamespace(metadata) } as unknown as KubeObject];
}

function withoutEmptyNamespace(metadata: Record<string, unknown>): Record<string, unknown> {
  const { namespace, ...rest } = metadata;
  return namespace === undefined || namespace === null || namespace === '' ? rest : metadata;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function unreadable(file: string, line: number, reason: string): UserError {
  return new UserError({
    what: `read ${file}`,
    why: `line ${line}: ${reason.split('\n')[0]}`,
    fix: 'correct the file; the last good version of the stack is kept until then',
  });
}
