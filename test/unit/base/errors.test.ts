import { describe, expect, it } from 'vitest';
import {
  errorCode,
  errorMessage,
  throwCollected,
  UserError,
  UserErrors,
} from '../../../src/base/errors.ts';

const one = new UserError({ what: 'start etcd', why: 'port 2380 is in use', fix: 'stop it' });
const two = new UserError({ what: 'use /data', why: 'it is full', cause: one });

describe('UserError', () => {
  it('says what cannot be done and why, and keeps fix and cause', () => {
    expect(one).toMatchObject({
      name: 'UserError',
      message: 'Cannot start etcd: port 2380 is in use',
      fix: 'stop it',
    });
    expect('cause' in one).toBe(false);
    expect(two).toMatchObject({ fix: undefined, cause: one });
  });
});

describe('throwCollected', () => {
  it('throws nothing, the one, or all', () => {
    expect(() => throwCollected([])).not.toThrow();
    expect(() => throwCollected([one])).toThrow(one);
    const all = new UserErrors([one, two]);
    expect(() => throwCollected([one, two])).toThrow(all);
    expect(all.message).toBe(`${one.message}\n${two.message}`);
    expect(all.errors).toEqual([one, two]);
  });
});

it('errorCode reads the code of system errors only', () => {
  expect(errorCode(Object.assign(new Error('x'), { code: 'ENOENT' }))).toBe('ENOENT');
  expect(errorCode(Object.assign(new Error('x'), { code: 7 }))).toBeUndefined();
  for (const value of [new Error('x'), { code: 'ENOENT' }, 'ENOENT', undefined]) {
    expect(errorCode(value)).toBeUndefined();
  }
});

it('errorMessage says something of anything', () => {
  expect(errorMessage(new Error('x'))).toBe('x');
  expect(errorMessage('x')).toBe('x');
  expect(errorMessage(undefined)).toBe('undefined');
});
