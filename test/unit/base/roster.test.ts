import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type Member, Roster } from '../../../src/base/roster.ts';

interface Named extends Member {
  readonly name: number;
}

test('has what was added and not deleted, whatever the order', () => {
  const step = fc.record({ name: fc.nat(12), adds: fc.boolean() });
  fc.assert(
    fc.property(fc.array(step), (steps) => {
      const roster = new Roster<Named>();
      const known = new Map<number, Named>();
      for (const { name, adds } of steps) {
        const member = known.get(name);
        if (adds && member === undefined) {
          const added = { name, place: -1 };
          known.set(name, added);
          roster.add(added);
        } else if (!adds && member !== undefined) {
          known.delete(name);
          expect(roster.delete(member)).toBe(true);
          expect(roster.delete(member)).toBe(false);
        }
      }
      expect(roster.size).toBe(known.size);
      expect(new Set(roster)).toEqual(new Set(known.values()));
    }),
  );
});

test('those that leave during a loop do not change whom it visits', () => {
  const roster = new Roster<Named>();
  for (let name = 0; name < 5; name += 1) roster.add({ name, place: 0 });
  const visited: number[] = [];
  for (const member of roster) {
    visited.push(member.name);
    for (const other of roster) if (other.name < 3) roster.delete(other);
  }
  expect(visited).toEqual([0, 1, 2, 3, 4]);
  expect(new Set([...roster].map(({ name }) => name))).toEqual(new Set([3, 4]));
});

test('one that never was a member is none', () => {
  const roster = new Roster<Named>();
  expect(roster.delete({ name: 1, place: 0 })).toBe(false);
  roster.add({ name: 1, place: 0 });
  expect(roster.delete({ name: 1, place: 0 })).toBe(false);
  expect(roster.size).toBe(1);
});
