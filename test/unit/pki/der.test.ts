import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  bitString,
  bitStringOctets,
  childrenOf,
  contentOf,
  DerError,
  decodeDer,
  encodeDer,
  oid,
  oidOf,
  primitive,
  sequence,
  tag,
  time,
} from '../../../src/pki/der.ts';

describe('DER', () => {
  it.each([
    ['2026-11-21T09:00:00Z', tag.utcTime, '261121090000Z'],
    ['2049-12-31T23:59:59.999Z', tag.utcTime, '491231235959Z'],
    ['2050-01-01T00:00:00Z', tag.generalizedTime, '20500101000000Z'],
  ])('writes the time %s', (iso, identifier, text) => {
    expect(contentOf(time(Date.parse(iso)), identifier).toString()).toBe(text);
  });

  it('gives back an object identifier', () => {
    for (const dotted of ['1.2.840.113549.1.9.14', '2.5.4.3', '2.999.4294967295', '0.39']) {
      expect(oidOf(decodeDer(encodeDer(oid(dotted))))).toBe(dotted);
    }
  });

  it('gives back content and bit strings of any length', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        const der = encodeDer(sequence(primitive(tag.octetString, bytes), bitString(bytes)));
        const [octets, bits] = childrenOf(decodeDer(der), tag.sequence);
        expect(contentOf(octets, tag.octetString)).toEqual(Buffer.from(bytes));
        expect(bitStringOctets(bits)).toEqual(Buffer.from(bytes));
      }),
    );
  });

  it.each([
    ['nothing', ''],
    ['a length without content', '3003'],
    ['bytes after the end', '05000500'],
    ['a length in more octets than needed', '048101aa'],
    ['indefinite length', '30800000'],
    ['a padded integer', '02020001'],
    ['a long tag number', '1f8101'],
    ['a long tag number, nested', '30039f0100'],
    ['a BMPString of half a character', '1e03004100'],
    ['a length of 127 octets', `04ff${'00'.repeat(127)}`],
  ])('refuses %s', (_what, hex) => {
    expect(() => decodeDer(Buffer.from(hex, 'hex'))).toThrow(DerError);
  });

  it('refuses deep nesting without a stack overflow', () => {
    let nested = encodeDer(primitive(tag.octetString, Buffer.of()));
    for (let depth = 0; depth < 40; depth += 1) {
      nested = Buffer.concat([Buffer.of(0x30, nested.length), nested]);
    }
    expect(() => decodeDer(nested)).toThrow('Max depth');
    const deep = Buffer.concat(Array<Buffer>(20_000).fill(Buffer.of(0x30, 0x80)));
    expect(() => decodeDer(deep)).toThrow(DerError);
  });

  it('refuses an object identifier that is not minimally encoded', () => {
    expect(() => oidOf(decodeDer(Buffer.from('060455800403', 'hex')))).toThrow(DerError);
  });

  it('throws nothing but DerError for any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        try {
          expect(encodeDer(decodeDer(bytes))).toEqual(Buffer.from(bytes));
        } catch (error) {
          expect(error).toBeInstanceOf(DerError);
        }
      }),
      { numRuns: 2000 },
    );
  });
});
