import { describe, expect, it } from 'vitest';
import { UserError, UserErrors } from '../../../src/base/errors.ts';
import { printError } from '../../../src/cli/print-error.ts';
import { fakeStream } from '../../support/fake-stream.ts';

const port = new UserError({ what: 'start etcd', why: 'port 2380 is in use', fix: 'stop it' });
const disk = new UserError({ what: 'use /data', why: 'it is full' });

describe('printError', () => {
  it('prints what, why and fix, and says 1', () => {
    const stderr = fakeStream();
    expect(printError(port, stderr)).toBe(1);
    expect(stderr.text()).toBe('error: Cannot start etcd: port 2380 is in use\nfix: stop it\n');
  });

  it('prints all of several', () => {
    const stderr = fakeStream();
    expect(printError(new UserErrors([port, disk]), stderr)).toBe(1);
    expect(stderr.text()).toBe(
      'error: Cannot start etcd: port 2380 is in use\nfix: stop it\nerror: Cannot use /data: it is full\n',
    );
  });

  it.each([new TypeError('x is undefined'), 'a string'])(
    'prints %s as a bug, and says 70',
    (bug) => {
      const stderr = fakeStream();
      expect(printError(bug, stderr)).toBe(70);
      expect(stderr.text()).toMatch(/^bug: .*(x is undefined|a string)/);
      expect(stderr.text()).toContain('Please report it');
    },
  );

  it('colours on a terminal only', () => {
    const stderr = fakeStream({ columns: 80 });
    printError(disk, stderr);
    expect(stderr.text().includes('\u001b[31m')).toBe((process.env['NO_COLOR'] ?? '') === '');
  });
});
