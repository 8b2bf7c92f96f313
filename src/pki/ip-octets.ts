import { isIPv4, isIPv6 } from 'node:net';

/**
 * The 4 or 16 octets of an address, as certificates keep them; undefined when `text` is none or has a zone.
 * An IPv4 address inside IPv6 (`::ffff:192.0.2.1`) is that IPv4 address, as Go reads it.
 */
export function parseIpOctets(text: string): Buffer | undefined {
  if (isIPv4(text)) return Buffer.from(text.split('.').map(Number));
  if (!isIPv6(text) || text.includes('%')) return undefined;
  const [head = '', tail = ''] = canonicalIpv6(text).split('::');
  const left = head.split(':').filter((group) => group !== '');
  const right = tail.split(':').filter((group) => group !== '');
  const zeros = Array<string>(8 - left.length - right.length).fill('0');
  const octets = Buffer.alloc(16);
  for (const [index, group] of [...left, ...zeros, ...right].entries()) {
    octets.writeUInt16BE(Number.parseInt(group, 16), index * 2);
  }
  return unmapped(octets);
}

/** The usual text of 4 or 16 octets, IPv6 as RFC 5952 has it; undefined for any other number of octets. */
export function renderIpOctets(octets: Buffer): string | undefined {
  const address = unmapped(octets);
  if (address.length === 4) return address.join('.');
  if (address.length !== 16) return undefined;
  const groups = Array.from({ length: 8 }, (_, index) =>
    address.readUInt16BE(index * 2).toString(16),
  );
  return canonicalIpv6(groups.join(':'));
}

/** One spelling for equal addresses; undefined when `text` is no address. */
export function canonicalIp(text: string): string | undefined {
  const octets = parseIpOctets(text);
  return octets === undefined ? undefined : renderIpOctets(octets);
}

function unmapped(octets: Buffer): Buffer {
  const prefix = '00000000000000000000ffff';
  return octets.length === 16 && octets.toString('hex', 0, 12) === prefix
    ? octets.subarray(12)
    : octets;
}

/** The URL parser is the one in Node.js that writes IPv6 in its shortest form. */
function canonicalIpv6(text: string): string {
  return new URL(`http://[${text}]`).hostname.slice(1, -1);
}
