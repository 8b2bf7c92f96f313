import { expect, it } from 'vitest';
import { steadyClock } from '../../../src/stacks/steady-clock.ts';

it('steadyClock counts on over a clock that is set backwards or far ahead', () => {
  let wall = 1_000_000;
  const clock = steadyClock({ now: () => wall });
  wall += 500;
  expect(clock.now()).toBe(500);
  wall -= 3_600_000;
  expect(clock.now()).toBe(500);
  wall += 200;
  expect(clock.now()).toBe(700);
  wall += 10 * 365 * 24 * 3_600_000;
  expect(clock.now()).toBe(60_700);
});
