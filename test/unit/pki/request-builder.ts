import { createPublicKey, type KeyObject, sign } from 'node:crypto';
import {
  bitString,
  constructed,
  contextTag,
  type DerNode,
  decodeDer,
  encodeDer,
  oid,
  primitive,
  sequence,
  tag,
} from '../../../src/pki/der.ts';
import { oids } from '../../../src/pki/object-identifiers.ts';
import { renderPem } from '../../../src/pki/pem.ts';

/** Parts of a PKCS#10 request; every one can be replaced by something wrong. */
export interface RequestParts {
  readonly key: KeyObject;
  readonly version?: number;
  readonly subject?: DerNode;
  readonly spki?: DerNode;
  readonly attributes?: readonly DerNode[];
  readonly algorithm?: string;
  readonly signature?: Buffer;
}

export function buildRequest(parts: RequestParts): string {
  return renderPem('CERTIFICATE REQUEST', encodeDer(requestNode(parts)));
}

function requestNode(parts: RequestParts): DerNode {
  const spki = createPublicKey(parts.key).export({ type: 'spki', format: 'der' });
  const info = sequence(
    primitive(tag.integer, Buffer.of(parts.version ?? 0)),
    parts.subject ?? nodeSubject,
    parts.spki ?? decodeDer(spki),
    constructed(contextTag(0, 'constructed'), parts.attributes ?? []),
  );
  const signature = parts.signature ?? sign('sha256', encodeDer(info), parts.key);
  return sequence(
    info,
    sequence(oid(parts.algorithm ?? oids.ecdsaWithSha256)),
    bitString(signature),
  );
}

/** One SET with all attributes, as Go writes names with several values. */
export function nameOf(...attributes: readonly (readonly [type: string, value: DerNode])[]) {
  return sequence(
    constructed(
      tag.set,
      attributes.map(([type, value]) => sequence(oid(type), value)),
    ),
  );
}

export function utf8(text: string): DerNode {
  return primitive(tag.utf8String, Buffer.from(text));
}

export const nodeSubject = nameOf(
  [oids.organization, utf8('system:nodes')],
  [oids.commonName, utf8('system:node:edge-1')],
);

export function extensionRequest(...extensions: readonly DerNode[]): DerNode {
  return sequence(oid(oids.extensionRequest), constructed(tag.set, [sequence(...extensions)]));
}

export function altNames(...names: readonly DerNode[]): DerNode {
  return sequence(
    oid(oids.subjectAltName),
    primitive(tag.octetString, encodeDer(sequence(...names))),
  );
}

export function generalName(number: number, content: string | Buffer): DerNode {
  return primitive(contextTag(number, 'primitive'), Buffer.from(content));
}
