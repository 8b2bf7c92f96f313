import { describe, expect, it } from 'vitest';
import { resolveClaims, type StackClaim } from '../../../src/stacks/claims.ts';
import type { StackRef } from '../../../src/stacks/types.ts';

const ref = (name: string): StackRef => ({
  apiVersion: 'v1',
  kind: 'ConfigMap',
  name,
  namespace: 'default',
});

function claim(name: string, wants: string, has = '', origin: 'packaged' | 'user' = 'user') {
  const refs = (names: string) => names.split('').map(ref);
  return { name, origin, wants: refs(wants), has: refs(has) } satisfies StackClaim;
}

const conflicts = (...claims: StackClaim[]) => Object.fromEntries(resolveClaims(claims).conflicts);

describe('resolveClaims', () => {
  it('lets stacks with different objects be', () => {
    expect(conflicts(claim('a', 'xy'), claim('b', 'z'))).toEqual({});
  });

  it('gives a new object to the first by name', () => {
    const lost = { b: 'ConfigMap default/x belongs to stack a' };
    expect(conflicts(claim('b', 'x'), claim('a', 'x'))).toEqual(lost);
  });

  it('leaves an object with the stack that has it', () => {
    const lost = { a: 'ConfigMap default/x belongs to stack b' };
    expect(conflicts(claim('a', 'x'), claim('b', 'x', 'x'))).toEqual(lost);
  });

  it('lets an object move in one step', () => {
    const { owners } = resolveClaims([claim('a', 'x'), claim('b', 'y', 'xy')]);
    expect(owners.get(' ConfigMap default/x')).toBe('a');
  });

  it('puts packaged stacks above the user', () => {
    const user = claim('a', 'x', 'x');
    const packaged = claim('z', 'x', '', 'packaged');
    expect(conflicts(user, packaged)).toEqual({ a: 'ConfigMap default/x belongs to stack z' });
  });
});
