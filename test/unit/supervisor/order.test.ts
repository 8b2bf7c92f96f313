import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { dependentsOf, type Ordered, startLevels } from '../../../src/supervisor/order.ts';

function item(name: string, ...dependsOn: string[]): Ordered {
  return { name, dependsOn };
}

/** Acyclic by construction: each depends only on earlier ones; then shuffled. */
const anyOrder = fc
  .array(fc.array(fc.nat(), { maxLength: 4 }), { minLength: 1, maxLength: 12 })
  .map((lists) =>
    lists.map((list, index) =>
      item(`c${index}`, ...new Set(index === 0 ? [] : list.map((n) => `c${n % index}`))),
    ),
  )
  .chain((items) => fc.shuffledSubarray(items, { minLength: items.length }));

describe('startLevels', () => {
  test('puts each component after what it depends on, and no later than needed', () => {
    const items = [item('api', 'etcd'), item('etcd'), item('kubelet', 'api', 'cri'), item('cri')];
    expect(startLevels(items)).toEqual([['etcd', 'cri'], ['api'], ['kubelet']]);
  });

  test('holds every name once, after all its dependencies', () => {
    fc.assert(
      fc.property(anyOrder, (items) => {
        const levels = startLevels(items);
        expect(levels.flat().sort()).toEqual(items.map(({ name }) => name).sort());
        const levelOf = new Map(levels.flatMap((names, n) => names.map((name) => [name, n])));
        for (const { name, dependsOn } of items) {
          const highest = Math.max(-1, ...dependsOn.map((other) => levelOf.get(other) ?? NaN));
          expect(levelOf.get(name)).toBe(highest + 1);
        }
      }),
    );
  });

  test('names the cycle, and only the cycle', () => {
    const items = [
      item('free'),
      item('x', 'a'),
      item('a', 'free', 'b'),
      item('b', 'c'),
      item('c', 'a'),
    ];
    expect(() => startLevels(items)).toThrow('Components wait for each other: a → b → c → a');
    expect(() => startLevels([item('a', 'a')])).toThrow('a → a');
  });

  test('names an unknown dependency and a duplicate', () => {
    expect(() => startLevels([item('a', 'b')])).toThrow('a depends on b, which does not exist');
    expect(() => startLevels([item('a'), item('a')])).toThrow('Two components are named a');
  });
});

test('dependentsOf lists the direct dependents', () => {
  const items = [item('a'), item('b', 'a'), item('c', 'b'), item('d', 'a', 'b')];
  expect(dependentsOf(items, 'a')).toEqual(['b', 'd']);
  expect(dependentsOf(items, 'd')).toEqual([]);
});
