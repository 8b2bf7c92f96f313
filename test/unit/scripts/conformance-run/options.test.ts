import { describe, expect, it } from 'vitest';
import {
  parseConformanceOptions,
  renderSize,
} from '../../../../scripts/conformance-run/options.ts';

const parse = (...args: readonly string[]) => parseConformanceOptions(args, '/checkout');

describe('the command line of the conformance run', () => {
  it('asks for all tests on two nodes of 2 GiB when it says nothing', () => {
    expect(parse()).toMatchObject({
      selection: { kind: 'full' },
      procs: 6,
      memoryBytes: 2 * 1024 ** 3,
      keepsCluster: false,
      isBuildOnly: false,
      output: '/checkout/dist/conformance',
    });
  });

  it('takes sizes, numbers and a directory', () => {
    const options = parse('--memory', '1GiB', '--cpus', '0.5', '--procs', '2', '--output', '/o');
    expect(options).toMatchObject({
      ...{ memoryBytes: 1024 ** 3, cpus: 0.5, procs: 2, output: '/o' },
    });
    expect(parse('--memory', '768Mi').memoryBytes).toBe(768 * 1024 ** 2);
  });

  it('selects by --quick or --focus', () => {
    expect(parse('--quick').selection).toEqual({ kind: 'quick' });
    expect(parse('--focus', 'DNS').selection).toEqual({ kind: 'focus', pattern: 'DNS' });
  });

  it.each([
    [['--quick', '--focus', 'DNS'], '--quick and --focus both say which tests are run'],
    [['--focus', ''], '--focus takes a regular expression'],
    [['--procs', '0'], '--procs takes a whole number from 1 to 99, not "0"'],
    [['--cpus', 'all'], '--cpus takes a number from 0.5 on, not "all"'],
    [['--memory', '2G'], '--memory takes a size such as 1GiB or 768MiB, not "2G"'],
    [['--memory', '256MiB'], '--memory 256MiB is too small: the least is 512MiB'],
    [['--fast'], "Unknown option '--fast'"],
  ])('refuses %j', (args, why) => {
    expect(() => parse(...args)).toThrow(why);
  });
});

it.each([
  [1, 1, '1 CPU, 1024 MiB'],
  [2, 2, '2 CPUs, 2048 MiB'],
  [0.5, 1, '0.5 CPUs, 1024 MiB'],
])('a node of %d CPUs and %d GiB is described', (cpus, gibibytes, text) => {
  expect(renderSize({ cpus, memoryBytes: gibibytes * 1024 ** 3 })).toBe(text);
});
