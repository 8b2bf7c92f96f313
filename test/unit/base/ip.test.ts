import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  cidrContains,
  cidrsOverlap,
  nthAddress,
  parseCidr,
  parseIpv4,
  renderIpv4,
} from '../../../src/base/ip.ts';

const anyAddress = fc.integer({ min: 0, max: 2 ** 32 - 1 });
const anyCidr = fc.tuple(anyAddress, fc.integer({ min: 0, max: 32 })).map(([address, prefix]) => {
  const size = 2 ** (32 - prefix);
  return { base: address - (address % size), prefix };
});

describe('IPv4', () => {
  it('parses what it renders', () => {
    fc.assert(fc.property(anyAddress, (value) => parseIpv4(renderIpv4(value)) === value));
  });

  it.each(['', '1.2.3', '1.2.3.4.5', '256.1.1.1', '01.2.3.4', '1.2.3.x', ' 1.2.3.4'])(
    'refuses "%s"',
    (text) => {
      expect(parseIpv4(text)).toBeUndefined();
    },
  );
});

describe('CIDR', () => {
  it.each(['10.0.0.1/8', '10.0.0.0', '10.0.0.0/33', '10.0.0.0/08', '10.0.0.0/8/8'])(
    'refuses "%s"',
    (text) => {
      expect(parseCidr(text)).toBeUndefined();
    },
  );

  it('overlaps exactly when one holds the base of the other', () => {
    fc.assert(
      fc.property(anyCidr, anyCidr, (a, b) => {
        const expected = cidrContains(a, b.base) || cidrContains(b, a.base);
        return cidrsOverlap(a, b) === expected && cidrsOverlap(b, a) === expected;
      }),
    );
  });

  it('counts addresses from the base', () => {
    expect(nthAddress({ base: parseIpv4('10.96.0.0') ?? 0, prefix: 12 }, 10)).toBe('10.96.0.10');
  });
});
