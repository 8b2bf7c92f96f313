import { describe, expect, test } from 'vitest';
import type { StartResult } from '../../bench/measure-start.ts';
import type { VariantResult } from '../../bench/metrics.ts';
import { missedTargets, renderShares, renderTable } from '../../bench/render-table.ts';

describe('table', () => {
  test('shows the median, both ends, the target and whether it is met', () => {
    const lines = tableLines([variant('ours', [5_000, 6_400, 5_500])]);
    expect(lines[1]).toBe('first start → /readyz ok  5.5 s (5.0–6.4)  ≤ 6 s  ✓');
  });

  test('a value above its target is marked and named', () => {
    const slow = variant('ours', [6_001]);
    expect(tableLines([slow])[1]).toBe('first start → /readyz ok  6.0 s  ≤ 6 s  ✗');
    expect(missedTargets(slow)).toEqual(['first start → /readyz ok']);
  });

  test('a value on its target meets it', () => {
    expect(missedTargets(variant('ours', [6_000]))).toEqual([]);
  });

  test('with a baseline it has a ratio: below 1 is less than the baseline', () => {
    const [header, line] = tableLines([variant('ours', [4_000]), variant('upstream', [8_000])]);
    expect(header).toMatch(/^metric +ours +upstream +target +ratio$/);
    expect(line).toMatch(/4\.0 s +8\.0 s +≤ 6 s +✓ +0\.50$/);
  });

  test('what was not measured has no line', () => {
    const table = renderTable([variant('ours', [4_000])]);
    expect(table).not.toContain('restart');
    expect(table).not.toContain('anonymous');
  });

  test('without results it is empty', () => {
    expect(renderTable([])).toBe('');
  });
});

test('shares come largest first, without the small ones', () => {
  expect(renderShares({ etcd: 1.26, kubelet: 3, pause: 0.01 }, { decimals: 1, least: 0.1 })).toBe(
    'kubelet 3.0, etcd 1.3',
  );
});

function variant(name: string, readyzMs: readonly number[]): VariantResult {
  return {
    name,
    firstStarts: readyzMs.map(start),
    restarts: [],
    idles: [],
    workers: [],
    installs: [],
  };
}

function start(atMs: number): StartResult {
  return {
    milestones: [{ name: 'readyz', atMs, cpuMs: 3_000 }],
    timeline: [],
    cpuSecondsByProcess: {},
    readBytes: 0,
    writtenBytes: 0,
    stopMs: 1_000,
  };
}

/** The header and the line of the first metric, their padding made even. */
function tableLines(results: readonly VariantResult[]): readonly string[] {
  const lines = renderTable(results).split('\n').slice(0, 2);
  return lines.map((line) => line.replaceAll(/ {2,}/g, '  '));
}
