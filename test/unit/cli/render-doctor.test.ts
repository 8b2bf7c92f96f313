import { expect, test } from 'vitest';
import { renderDoctor } from '../../../src/cli/render-doctor.ts';
import type { DoctorReport } from '../../../src/node/doctor-types.ts';
import { fakeStream } from '../../support/fake-stream.ts';

const report: DoctorReport = {
  source: '/var/lib/mini-k8s/state/join.json',
  isHealthy: false,
  checks: [
    { address: '10.0.0.4:9443', check: 'tcp', state: 'ok', what: 'answers in 3 ms' },
    {
      address: '10.0.0.4:9443',
      check: 'clock',
      state: 'warn',
      what: 'its clock is ahead',
      why: 'so it is',
    },
    {
      address: '10.0.0.4:6443',
      check: 'tcp',
      state: 'fail',
      what: 'cannot be reached',
      why: '10.0.0.4:6443 refuses connections',
      fix: 'open the port',
    },
  ],
};

test('what was found stands below its address, with what mends it', () => {
  expect(renderDoctor(report, fakeStream())).toBe(`Controllers of /var/lib/mini-k8s/state/join.json

10.0.0.4:9443
  ✓ tcp         answers in 3 ms
  ! clock       its clock is ahead: so it is

10.0.0.4:6443
  ✗ tcp         cannot be reached: 10.0.0.4:6443 refuses connections
      fix: open the port

1 of 3 checks failed.
`);
});

test('when nothing failed, warnings are counted', () => {
  const checks = report.checks.slice(0, 2);
  const text = renderDoctor({ ...report, isHealthy: true, checks }, fakeStream());
  expect(text).toContain('\nNothing failed: 2 checks, 1 with a warning.\n');
});
