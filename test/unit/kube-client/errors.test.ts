import { describe, expect, it } from 'vitest';
import {
  isTransientKubeError,
  KubeConnectionError,
  kubeApiErrorFrom,
} from '../../../src/kube-client/errors.ts';

describe('kubeApiErrorFrom', () => {
  it('keeps what a Status says', () => {
    const body = JSON.stringify({
      kind: 'Status',
      code: 429,
      reason: 'TooManyRequests',
      message: 'slow down',
      details: { retryAfterSeconds: 3 },
    });
    expect(kubeApiErrorFrom(429, body)).toMatchObject({
      code: 429,
      reason: 'TooManyRequests',
      message: 'slow down',
      details: { retryAfterSeconds: 3 },
    });
  });

  it.each([
    ['404 page not found\n', '404 page not found'],
    ['', 'HTTP status 404'],
    ['{"kind":"Sta', '{"kind":"Sta'],
    ['{"kind":"Other"}', '{"kind":"Other"}'],
  ])('takes any other body %j as text', (body, message) => {
    expect(kubeApiErrorFrom(404, body)).toMatchObject({ code: 404, message });
  });
});

describe('isTransientKubeError', () => {
  it('is true without an answer and for what passes by itself', () => {
    expect(isTransientKubeError(new KubeConnectionError('https://a', new Error('x')))).toBe(true);
    expect(isTransientKubeError(kubeApiErrorFrom(503, ''))).toBe(true);
    expect(isTransientKubeError(kubeApiErrorFrom(403, ''))).toBe(false);
    expect(isTransientKubeError(new Error('x'))).toBe(false);
  });
});
