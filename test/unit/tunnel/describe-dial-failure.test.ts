import { expect, it } from 'vitest';
import { describeDialFailure } from '../../../src/tunnel/dial-target.ts';

const decision = {
  type: 'dial',
  address: '127.0.0.1',
  port: 10250,
  subject: 'kubelet of node edge-1',
} as const;

it.each([
  ['ECONNREFUSED', 502, 'kubelet of node edge-1 refuses connections on 127.0.0.1:10250'],
  ['ETIMEDOUT', 504, 'kubelet of node edge-1 did not answer within 5 s'],
  ['EHOSTUNREACH', 502, 'no route to kubelet of node edge-1 (EHOSTUNREACH)'],
  ['EMFILE', 503, 'tunnel is out of file descriptors, cannot reach kubelet of node edge-1'],
  ['EACCES', 502, 'cannot connect to kubelet of node edge-1: EACCES'],
])('%s becomes %i with a reason', (code, status, reason) => {
  expect(describeDialFailure(decision, code, 5000)).toEqual({ status, reason });
});
