import { describe, expect, test } from 'vitest';
import { endpointsOf } from '../../../src/node/doctor.ts';
import type { DoctorCheck, EndpointProbe, TlsFinding } from '../../../src/node/doctor-types.ts';
import { judgeEndpoint } from '../../../src/node/doctor-verdicts.ts';

const nowMs = Date.parse('2026-11-21T09:00:00Z');
const tls: Extract<TlsFinding, { type: 'established' }> = {
  type: 'established',
  problem: '',
  subject: 'CN=mini-k8s-gateway',
  issuer: 'CN=kubernetes-ca',
  notBeforeMs: nowMs - 1_000,
  notAfterMs: nowMs + 1_000,
  authorityPin: 'abc',
};
const healthy: EndpointProbe = {
  endpoint: { kind: 'gateway', address: { host: '10.0.0.4', port: 9443 }, isLearned: false },
  tcp: { type: 'connected', elapsedMs: 3.2 },
  route: { interface: 'eth0', mtuBytes: 1500, isLearned: false },
  tls,
  answer: { type: 'answered', status: 404, clockDifferenceMs: 300 },
  bigAnswer: { type: 'answered', status: 404 },
  tunnel: { type: 'established', protocol: 'mini-k8s-tunnel/1' },
};
const api: EndpointProbe['endpoint'] = {
  kind: 'api',
  address: { host: '10.0.0.4', port: 6443 },
  isLearned: false,
};

function judge(change: Partial<EndpointProbe>): DoctorCheck[] {
  return judgeEndpoint({ ...healthy, ...change }, { nowMs });
}

/** The one line about something. */
function line(
  check: DoctorCheck['check'],
  change: Partial<EndpointProbe>,
): DoctorCheck | undefined {
  return judge(change).find((found) => found.check === check);
}

test('a healthy gateway has a line for everything', () => {
  expect(judge({}).map(({ check, state, what }) => `${state} ${check}: ${what}`)).toEqual([
    'ok tcp: answers in 3 ms',
    'ok tls: is of this cluster (CA pin abc)',
    'ok answer: the gateway answers',
    'ok clock: the clocks agree',
    'ok packet-size: packets of up to 1500 bytes leave by eth0, as the interface is set',
    'ok tunnel: mini-k8s-tunnel/1 comes through',
  ]);
});

describe('an address that does not answer', () => {
  const fails = (code: string, change: Partial<EndpointProbe> = {}) =>
    line('tcp', { tcp: { type: 'failed', code, message: 'M' }, ...change });

  test.each([
    ['ECONNREFUSED', undefined, /mini-k8s runs on the controller/],
    ['ETIMEDOUT', undefined, /open TCP port 9443/],
    ['EHOSTUNREACH', undefined, /open TCP port 9443/],
    ['ENOTFOUND', undefined, /resolv.conf/],
    ['EPROXY', 'p:3128', /let the proxy connect to port 9443 .* NO_PROXY/],
    ['ECONNREFUSED', 'p:3128', /HTTPS_PROXY/],
  ])('%s, proxy %s: %s', (code, proxy, fix) => {
    const found = fails(code, proxy === undefined ? {} : { proxy });
    expect(found).toMatchObject({ state: 'fail', why: 'M', fix: expect.stringMatching(fix) });
    expect(found?.what.includes('through proxy p:3128')).toBe(proxy !== undefined);
  });

  test('is only a warning when nobody but the API named it', () => {
    expect(fails('ETIMEDOUT', { endpoint: { ...api, isLearned: true } })).toMatchObject({
      state: 'warn',
      address: '10.0.0.4:6443',
    });
  });
});

describe('a certificate', () => {
  const shows = (change: Partial<typeof tls>, endpoint = healthy.endpoint) =>
    line('tls', { tls: { ...tls, ...change }, endpoint });

  test('of dates that are not now is explained with all three times', () => {
    expect(shows({ problem: 'CERT_NOT_YET_VALID' })).toMatchObject({
      state: 'fail',
      why: "it is valid from 2026-11-21T08:59:59Z to 2026-11-21T09:00:01Z, and this machine's clock says 2026-11-21T09:00:00Z",
      fix: expect.stringContaining('clock'),
    });
  });

  test('of somebody else names who signed it', () => {
    expect(shows({ problem: 'SELF_SIGNED_CERT_IN_CHAIN', issuer: 'CN=Inspector' })).toMatchObject({
      state: 'fail',
      why: expect.stringContaining('signed by CN=Inspector'),
      fix: expect.stringContaining('TLS inspection'),
    });
  });

  test('of another server of the cluster', () => {
    const found = shows({ problem: 'ERR_TLS_CERT_ALTNAME_INVALID' }, api);
    expect(found?.why).toBe('it is of CN=mini-k8s-gateway, which is no kube-apiserver');
  });

  test('cannot be checked before a machine has joined: its pin is shown', () => {
    expect(shows({ problem: undefined })).toMatchObject({
      state: 'warn',
      what: 'shows a certificate whose authority has the pin abc',
    });
  });

  test('that never came', () => {
    const found = line('tls', { tls: { type: 'failed', message: 'wrong version number' } });
    expect(found).toMatchObject({ state: 'fail', why: 'wrong version number' });
  });
});

describe('the answer', () => {
  const says = (status: number, endpoint: EndpointProbe['endpoint']) =>
    line('answer', { answer: { type: 'answered', status }, endpoint });

  test.each([
    [200, 'api', 'ok', 'kube-apiserver is ready'],
    [401, 'api', 'ok', 'kube-apiserver answers'],
    [500, 'api', 'fail', 'kube-apiserver is not ready'],
    [404, 'api', 'fail', 'kube-apiserver is not ready'],
    [404, 'gateway', 'ok', 'the gateway answers'],
    [503, 'gateway', 'fail', 'the gateway is not ready'],
  ] as const)('%d of the %s is %s', (status, kind, state, what) => {
    expect(says(status, kind === 'api' ? api : healthy.endpoint)).toMatchObject({ state, what });
  });

  test('that does not come', () => {
    const found = judge({ answer: { type: 'failed', message: 'M' } });
    expect(found.find(({ check }) => check === 'answer')).toMatchObject({
      state: 'fail',
      why: 'M',
    });
    expect(found.some(({ check }) => check === 'clock')).toBe(false);
  });
});

test.each([
  [9_000, 'ok', 'the clocks agree'],
  [-9_000, 'ok', 'the clocks agree'],
  [30_000, 'warn', "its clock is 30 seconds ahead of this machine's"],
  [-200_000, 'warn', "its clock is 3 minutes behind this machine's"],
  [3_600_000, 'fail', "its clock is 60 minutes ahead of this machine's"],
  [-365 * 86_400_000, 'fail', "its clock is 365 days behind this machine's"],
])('a clock that differs by %d ms is %s', (clockDifferenceMs, state, what) => {
  const answer = { type: 'answered', status: 200, clockDifferenceMs } as const;
  expect(line('clock', { answer })).toMatchObject({ state, what });
});

describe('the size of packets', () => {
  test('says when a router has asked for less', () => {
    const route = { interface: 'ppp0', mtuBytes: 1400, isLearned: true };
    expect(line('packet-size', { route })).toMatchObject({
      state: 'ok',
      what: 'packets of up to 1400 bytes leave by ppp0, as a router on the way asked for',
    });
  });

  test('is suspicious when it is very small', () => {
    const route = { interface: 'ppp0', mtuBytes: 576, isLearned: false };
    expect(line('packet-size', { route })).toMatchObject({ state: 'warn' });
  });

  test('is the fault when only big requests get no answer', () => {
    const bigAnswer = { type: 'failed', message: 'nothing came within 5 s' } as const;
    expect(line('packet-size', { bigAnswer })).toMatchObject({
      state: 'fail',
      what: 'big packets get lost on the way',
      why: expect.stringContaining('nothing came within 5 s'),
    });
  });
});

test.each([
  [{ type: 'failed', message: 'read ECONNRESET' } as const, 'read ECONNRESET'],
  [{ type: 'established', protocol: '' } as const, 'the other side did not choose it'],
])('a tunnel that does not come through: %j', (tunnel, why) => {
  expect(line('tunnel', { tunnel })).toMatchObject({ state: 'fail', why });
});

describe('--server', () => {
  const read = (server: string) =>
    endpointsOf(server).map(({ kind, address }) => `${kind} ${address.host} ${address.port}`);

  test.each([
    ['10.0.0.4', ['gateway 10.0.0.4 9443', 'api 10.0.0.4 6443']],
    ['10.0.0.4:6443', ['api 10.0.0.4 6443']],
    ['a.example:9443', ['gateway a.example 9443']],
    ['a.example:443', ['gateway a.example 443']],
    ['fd00::4', ['gateway fd00::4 9443', 'api fd00::4 6443']],
  ])('%s', (server, expected) => {
    expect(read(server)).toEqual(expected);
  });

  test('that is no address', () => {
    expect(() => read('https://a:1/')).toThrow(/Cannot check the connection to "https:/);
  });
});
