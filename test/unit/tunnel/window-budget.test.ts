import { expect, it } from 'vitest';
import { createWindowBudget, windowBudgetBytes } from '../../../src/tunnel/window-budget.ts';

const mib = 1024 * 1024;

it.each([
  [512 * mib, 16 * mib],
  [1024 * mib, 32 * mib],
  [2048 * mib, 64 * mib],
  [64 * 1024 * mib, 64 * mib],
])('of %i bytes of memory, windows may take %i', (memory, budget) => {
  expect(windowBudgetBytes(memory)).toBe(budget);
});

it('lends up to its limit, and again what came back', () => {
  const budget = createWindowBudget(100);
  expect(budget.take(60)).toBe(true);
  expect(budget.take(41)).toBe(false);
  expect(budget.take(40)).toBe(true);
  expect(budget.usedBytes).toBe(100);
  budget.give(50);
  expect(budget.take(51)).toBe(false);
  expect(budget.take(50)).toBe(true);
  budget.give(1000);
  expect(budget.usedBytes).toBe(0);
});
