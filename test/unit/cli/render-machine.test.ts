import { expect, test } from 'vitest';
import { renderMachine } from '../../../src/cli/render-machine.ts';
import type { MachineReport } from '../../../src/node/examine-machine.ts';
import { fakeStream, screenOf } from '../../support/fake-stream.ts';

const report: MachineReport = {
  role: 'controller',
  dataDir: '/var/lib/mini-k8s',
  isRunning: true,
  supervisorPid: 812,
  isHealthy: false,
  checks: [
    { probe: 'page-size', state: 'ok', what: '4 KiB' },
    { probe: 'swap', state: 'warn', what: '/var/swap', why: 'on a card', fix: 'swapoff /var/swap' },
    {
      probe: 'ports',
      state: 'fail',
      what: 'cannot start etcd',
      why: 'port 2379 is in use by pid 9 (k3s)',
      fix: 'stop that process',
    },
    { probe: 'kernel', state: 'skipped', what: 'not looked at', why: 'it needs root' },
  ],
  repairs: [],
};

const text = `This machine as a controller with data in /var/lib/mini-k8s; mini-k8s runs (pid 812)

  ✓ page-size  4 KiB
  ! swap       /var/swap: on a card
      fix: swapoff /var/swap
  ✗ ports      cannot start etcd: port 2379 is in use by pid 9 (k3s)
      fix: stop that process
  - kernel     not looked at: it needs root

1 of 4 checks failed, 1 with a warning, 1 not looked at.
Root sees more: sudo mini-k8s doctor
`;

test('a line per check, with its reason and its mending', () => {
  expect(renderMachine(report, fakeStream())).toBe(text);
});

test('a terminal shows the same in colours', () => {
  const painted = renderMachine(report, fakeStream({ columns: 80 }));
  expect(painted).toContain('\u001b[31m✗\u001b[0m ports');
  expect(screenOf(painted)).toBe(text);
});

test('what was repaired, what would be, and what could not be', () => {
  const what = 'set kernel.panic to 10';
  const repairs = [
    { probe: 'settings', what, outcome: 'done' },
    { probe: 'settings', what, outcome: 'planned' },
    { probe: 'settings', what, outcome: 'failed', why: 'EROFS' },
  ] as const;
  const checks = report.checks.slice(0, 1);
  expect(
    renderMachine({ ...report, role: 'worker', isHealthy: true, checks, repairs }, fakeStream()),
  ).toBe(`This machine as a worker with data in /var/lib/mini-k8s; mini-k8s runs (pid 812)

  ✓ page-size  4 KiB

done: set kernel.panic to 10
would be done: set kernel.panic to 10
failed: set kernel.panic to 10: EROFS

Nothing failed: 1 checks.
The way to the controllers: mini-k8s doctor --connectivity
`);
});
