import { expect, it } from 'vitest';
import { renderFlags } from '../../../src/base/flags.ts';

it('renderFlags sorts by name and leaves out what has no value', () => {
  expect(
    renderFlags({ b: 2, a: true, list: ['x', 'y'], none: undefined, empty: [], blank: '' }),
  ).toEqual(['--a=true', '--b=2', '--blank=', '--list=x,y']);
});
