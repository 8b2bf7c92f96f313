import { expect, test } from 'vitest';
import { parseCpuTicks } from '../../bench/node-view.ts';
import { progressLines } from '../../bench/timeline.ts';

test('CPU ticks are read behind a process name with spaces and parentheses', () => {
  const before = 'S 1 2 3 4 5 6 7 8 9 10';
  expect(parseCpuTicks(`42 (a) b (c) ${before} 100 20 3 4 20 0 1 0 500`)).toBe(127);
});

test('only whole lines that report progress count', () => {
  const output = '✓ etcd (0.8 s)\nINFO etcd: something\n✗ kubelet ended: exit code 1\n✓ kube-api';
  expect(progressLines(output)).toEqual(['✓ etcd (0.8 s)', '✗ kubelet ended: exit code 1']);
});
