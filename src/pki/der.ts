import type { asn1 } from 'node-forge';
import forgeAsn1 from 'node-forge/lib/asn1.js';
import { errorMessage } from '../base/errors.ts';

/** One element of a DER text. */
export type DerNode = asn1.Asn1;

/** Bytes that are not the DER they should be. */
export class DerError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'DerError';
  }
}

/** Identifier octets: class, constructed bit and tag number in one byte. */
export const tag = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  oid: 0x06,
  utf8String: 0x0c,
  printableString: 0x13,
  teletexString: 0x14,
  ia5String: 0x16,
  utcTime: 0x17,
  generalizedTime: 0x18,
  bmpString: 0x1e,
  sequence: 0x30,
  set: 0x31,
} as const;

/** Certificates and requests nest about eight levels deep. */
const maxDepth = 32;
const constructedBit = 0x20;
const tagNumberMask = 0x1f;

/** The identifier octet of `[number]` in a module with implicit tags. */
export function contextTag(number: number, shape: 'primitive' | 'constructed'): number {
  return 0x80 | (shape === 'constructed' ? constructedBit : 0) | number;
}

export function constructed(identifier: number, children: readonly DerNode[]): DerNode {
  return create(identifier, [...children]);
}

export function primitive(identifier: number, content: Uint8Array): DerNode {
  return create(identifier, Buffer.from(content).toString('latin1'));
}

export function sequence(...children: readonly DerNode[]): DerNode {
  return constructed(tag.sequence, children);
}

export function oid(dotted: string): DerNode {
  return create(tag.oid, forgeAsn1.oidToDer(dotted).getBytes());
}

/** `unusedBits` at the end of the last octet, 0 to 7. */
export function bitString(octets: Uint8Array, unusedBits = 0): DerNode {
  return primitive(tag.bitString, Buffer.concat([Buffer.of(unusedBits), octets]));
}

/** UTCTime until 2049, GeneralizedTime from 2050 on (RFC 5280 §4.1.2.5). */
export function time(epochMs: number): DerNode {
  const digits = new Date(epochMs).toISOString().replace(/\.\d+Z$|[-:T]/g, '');
  return Number(digits.slice(0, 4)) < 2050
    ? primitive(tag.utcTime, Buffer.from(`${digits.slice(2)}Z`))
    : primitive(tag.generalizedTime, Buffer.from(`${digits}Z`));
}

export function encodeDer(node: DerNode): Buffer {
  return Buffer.from(forgeAsn1.toDer(node).getBytes(), 'latin1');
}

/**
 * Reads exactly one DER element that fills `bytes`. BER's other spellings of the same value are refused, so that
 * nobody else who reads these bytes sees another value.
 * @throws DerError for anything else.
 */
export function decodeDer(bytes: Uint8Array): DerNode {
  const text = Buffer.from(bytes).toString('latin1');
  const node = parse(text);
  if (forgeAsn1.toDer(node).getBytes() !== text) throw new DerError('the encoding is not DER');
  refuseLongTags(node);
  return node;
}

/** @throws DerError when the node has another tag or no children by nature. */
export function childrenOf(node: DerNode | undefined, identifier: number): readonly DerNode[] {
  if (node === undefined || !hasTag(node, identifier) || typeof node.value === 'string') {
    throw new DerError(`an element with tag ${hex(identifier)} is missing`);
  }
  return node.value;
}

/** @throws DerError when the node has another tag or holds children. */
export function contentOf(node: DerNode | undefined, identifier: number): Buffer {
  if (node === undefined || !hasTag(node, identifier) || typeof node.value !== 'string') {
    throw new DerError(`an element with tag ${hex(identifier)} is missing`);
  }
  // forge keeps a BMPString as UTF-16 text, everything else as one character per byte
  if (identifier === tag.bmpString) return Buffer.from(node.value, 'utf16le').swap16();
  return Buffer.from(node.value, 'latin1');
}

/** An OBJECT IDENTIFIER in dotted form. @throws DerError when it is none, or not minimally encoded. */
export function oidOf(node: DerNode | undefined): string {
  const content = contentOf(node, tag.oid).toString('latin1');
  try {
    const dotted = forgeAsn1.derToOid(content);
    if (forgeAsn1.oidToDer(dotted).getBytes() === content) return dotted;
  } catch (error) {
    throw new DerError(errorMessage(error));
  }
  throw new DerError('an object identifier is malformed');
}

/** The octets of a BIT STRING that is a whole number of octets. @throws DerError for any other. */
export function bitStringOctets(node: DerNode | undefined): Buffer {
  const content = contentOf(node, tag.bitString);
  if (content[0] !== 0) throw new DerError('a bit string does not end on an octet');
  return content.subarray(1);
}

export function hasTag(node: DerNode, identifier: number): boolean {
  return identifierOf(node) === identifier;
}

export function identifierOf(node: DerNode): number {
  return node.tagClass | (node.constructed ? constructedBit : 0) | node.type;
}

function create(identifier: number, value: string | DerNode[]): DerNode {
  const isConstructed = (identifier & constructedBit) !== 0;
  return forgeAsn1.create(identifier & 0xc0, identifier & tagNumberMask, isConstructed, value);
}

function parse(text: string): DerNode {
  try {
    // forge would look for DER inside bit strings, where keys and signatures are
    return forgeAsn1.fromDer(text, { decodeBitStrings: false, maxDepth });
  } catch (error) {
    // fromDer touches nothing but its input: whatever it throws is about these bytes
    throw new DerError(errorMessage(error));
  }
}

/** Tag numbers above 30 take several octets, which forge reads as a tag of one octet and a length. */
function refuseLongTags(node: DerNode): void {
  if ((identifierOf(node) & tagNumberMask) === tagNumberMask)
    throw new DerError('a tag number is too large');
  if (typeof node.value === 'string') return;
  for (const child of node.value) refuseLongTags(child);
}

function hex(identifier: number): string {
  return `0x${identifier.toString(16).padStart(2, '0')}`;
}
