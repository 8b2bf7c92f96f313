import {
  childrenOf,
  contentOf,
  contextTag,
  DerError,
  type DerNode,
  decodeDer,
  identifierOf,
  oidOf,
  tag,
} from './der.ts';
import { renderIpOctets } from './ip-octets.ts';
import { oids } from './object-identifiers.ts';

/** The subject of a request. */
export interface RequestSubject {
  /** Empty when there is none. */
  readonly commonName: string;
  readonly organizations: readonly string[];
  /** Object identifiers of every other attribute, such as the one that becomes a user's UID in Kubernetes. */
  readonly otherSubjectAttributes: readonly string[];
}

/** The subject alternative names of a request. */
export interface RequestAltNames {
  readonly dnsNames: readonly string[];
  /** In canonical form; IPv4 inside IPv6 is IPv4. */
  readonly ipAddresses: readonly string[];
  readonly emailAddresses: readonly string[];
  readonly uris: readonly string[];
  /** How many names of other kinds (directory names, otherName, registered ids) there are. */
  readonly otherNameCount: number;
}

/** @throws DerError when it is malformed or has two common names (readers differ in which one counts). */
export function readSubject(name: DerNode | undefined): RequestSubject {
  const attributes = childrenOf(name, tag.sequence)
    .flatMap((set) => childrenOf(set, tag.set))
    .map((attribute) => {
      const [type, value, ...rest] = childrenOf(attribute, tag.sequence);
      if (rest.length > 0) throw new DerError('a subject attribute has too many parts');
      return { type: oidOf(type), value };
    });
  const textsOf = (type: string) =>
    attributes.filter((attribute) => attribute.type === type).map(({ value }) => readText(value));
  const [commonName = '', ...others] = textsOf(oids.commonName);
  if (others.length > 0) throw new DerError('the subject has more than one common name');
  const known: readonly string[] = [oids.commonName, oids.organization];
  return {
    commonName,
    organizations: textsOf(oids.organization),
    otherSubjectAttributes: attributes
      .map(({ type }) => type)
      .filter((type) => !known.includes(type)),
  };
}

/**
 * Reads the names out of a request's attributes (`[0] IMPLICIT SET OF Attribute`).
 * @throws DerError when malformed, or when an attribute or extension is there twice: readers differ in which one counts.
 * @see https://www.rfc-editor.org/rfc/rfc5280#section-4.2.1.6
 */
export function readAltNames(attributes: DerNode | undefined): RequestAltNames {
  const extensions = childrenOf(attributes, contextTag(0, 'constructed')).flatMap(readExtensions);
  const types = extensions.map(({ type }) => type);
  if (new Set(types).size !== types.length) throw new DerError('an extension is requested twice');
  const altName = extensions.find(({ type }) => type === oids.subjectAltName);
  const names = altName === undefined ? [] : childrenOf(decodeDer(altName.value), tag.sequence);
  const contentsOf = (number: number) => {
    const identifier = contextTag(number, 'primitive');
    return names
      .filter((name) => identifierOf(name) === identifier)
      .map((name) => contentOf(name, identifier));
  };
  const emailAddresses = contentsOf(1).map(printableAscii);
  const dnsNames = contentsOf(2).map(printableAscii);
  const uris = contentsOf(6).map(printableAscii);
  const ipAddresses = contentsOf(7).map(readAddress);
  const readCount = [emailAddresses, dnsNames, uris, ipAddresses].flat().length;
  return {
    dnsNames,
    ipAddresses,
    emailAddresses,
    uris,
    otherNameCount: names.length - readCount,
  };
}

interface Extension {
  readonly type: string;
  readonly value: Buffer;
}

function readExtensions(attribute: DerNode): Extension[] {
  const [type, values, ...rest] = childrenOf(attribute, tag.sequence);
  const [value, ...others] = childrenOf(values, tag.set);
  if (oidOf(type) !== oids.extensionRequest) return [];
  if (rest.length > 0 || others.length > 0) {
    throw new DerError('the extension request has too many parts');
  }
  return childrenOf(value, tag.sequence).map((extension) => {
    const parts = childrenOf(extension, tag.sequence);
    if (parts.length !== 2 && parts.length !== 3) throw new DerError('an extension is malformed');
    if (parts.length === 3) contentOf(parts[1], tag.boolean);
    return { type: oidOf(parts[0]), value: contentOf(parts.at(-1), tag.octetString) };
  });
}

function readText(node: DerNode | undefined): string {
  if (node === undefined) throw new DerError('a subject attribute has no value');
  const identifier = identifierOf(node);
  const content = contentOf(node, identifier);
  switch (identifier) {
    case tag.utf8String:
      return readUtf8(content);
    case tag.printableString:
    case tag.ia5String:
      return printableAscii(content);
    default:
      throw new DerError('a subject attribute is not a UTF8String, PrintableString or IA5String');
  }
}

function readUtf8(content: Buffer): string {
  const text = content.toString('utf8');
  if (!Buffer.from(text).equals(content)) throw new DerError('a subject attribute is not UTF-8');
  return text;
}

/** DNS names, mail addresses and URIs are IA5Strings: ASCII, and none has a use for control characters. */
function printableAscii(content: Buffer): string {
  const text = content.toString('latin1');
  if (!/^[\x20-\x7e]*$/.test(text)) throw new DerError('a name is not printable ASCII');
  return text;
}

function readAddress(content: Buffer): string {
  const address = renderIpOctets(content);
  if (address === undefined) throw new DerError('an IP address has neither 4 nor 16 octets');
  return address;
}
