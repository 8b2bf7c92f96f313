import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { canonicalIp, parseIpOctets, renderIpOctets } from '../../../src/pki/ip-octets.ts';

describe('IP octets', () => {
  it.each([
    ['10.96.0.1', '10.96.0.1'],
    ['::1', '::1'],
    ['::', '::'],
    ['FD00:0:0:0:0:0:0:1', 'fd00::1'],
    ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['1:2:3:4:5:6:7:8', '1:2:3:4:5:6:7:8'],
    ['::ffff:127.0.0.1', '127.0.0.1'],
    ['::ffff:7f00:1', '127.0.0.1'],
    ['64:ff9b::192.0.2.1', '64:ff9b::c000:201'],
  ])('%s is %s', (text, canonical) => {
    expect(canonicalIp(text)).toBe(canonical);
  });

  it.each([
    '',
    '10.0.0',
    '10.0.0.256',
    '010.0.0.1',
    'fe80::1%eth0',
    '[::1]',
    '::1/128',
    'localhost',
    '1::2::3',
  ])('%j is no address', (text) => {
    expect(parseIpOctets(text)).toBeUndefined();
  });

  it('gives back what was rendered', () => {
    const octets = fc.oneof(
      fc.uint8Array({ minLength: 4, maxLength: 4 }),
      fc.uint8Array({ minLength: 16, maxLength: 16 }),
    );
    fc.assert(
      fc.property(octets, (bytes) => {
        const text = renderIpOctets(Buffer.from(bytes)) ?? '';
        expect(renderIpOctets(parseIpOctets(text) ?? Buffer.of())).toBe(text);
      }),
    );
  });

  it('refuses another number of octets', () => {
    for (const length of [0, 3, 5, 8, 15, 17]) {
      expect(renderIpOctets(Buffer.alloc(length))).toBeUndefined();
    }
  });
});
