import { describe, expect, it } from 'vitest';
import { parseNameservers } from '../../../src/base/nameservers.ts';
import { parseListeners } from '../../../src/doctor/ports.ts';
import {
  chooseResolvConf,
  isNftUsable,
  isReachable,
  meminfoBytes,
  parseDefaultGateway,
} from '../../../src/node/host-facts.ts';

describe('isNftUsable', () => {
  it.each([
    ['nftables v1.0.6 (Lester Gooch #5)', true],
    ['nftables v1.0.1 (Fearless Fosdick #3)', true],
    ['nftables v1.1.0 (x)', true],
    ['nftables v1.0.0 (x)', false],
    ['nftables v0.9.8 (E.D.S.)', false],
    ['something else', false],
  ])('%s: %s', (text, expected) => {
    expect(isNftUsable(text)).toBe(expected);
  });
});

it('parseDefaultGateway reads the default route', () => {
  const header =
    'Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT';
  const local = 'eth0\t0007A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0';
  const route = 'eth0\t00000000\t0107A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0';
  expect(parseDefaultGateway([header, local, route, ''].join('\n'))).toEqual({
    interface: 'eth0',
    address: '192.168.7.1',
  });
  expect(parseDefaultGateway([header, local, ''].join('\n'))).toBeUndefined();
});

it('meminfoBytes reads kibibytes', () => {
  expect(meminfoBytes('MemTotal:        1048576 kB\nSwapTotal: 0 kB\n', 'MemTotal')).toBe(
    1024 ** 3,
  );
  expect(meminfoBytes('', 'MemTotal')).toBe(0);
});

it('parseListeners keeps listening sockets only', () => {
  const table = [
    '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode',
    '   0: 0100007F:094B 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1',
    '   1: 0100007F:D431 0100007F:094B 01 00000000:00000000 00:00000000 00000000     0        0 4712 1',
    '',
  ].join('\n');
  expect(parseListeners(table)).toEqual([{ port: 2379, inode: '4711' }]);
});

describe('chooseResolvConf', () => {
  const file = (path: string, ...nameservers: string[]) => ({ path, nameservers });

  it.each([
    [[file('a', '1.1.1.1'), file('b', '8.8.8.8')], 'a'],
    [[file('a', '127.0.0.53'), file('b', '8.8.8.8')], 'b'],
    [[file('a', '127.0.0.53', '1.1.1.1'), file('b', '8.8.8.8')], 'b'],
    [[file('a', '127.0.0.53', '1.1.1.1'), file('b')], 'a'],
    [[file('a', '127.0.0.53', '::1'), file('b')], ''],
  ])('of %j is %s', (files, path) => {
    expect(chooseResolvConf(files).path).toBe(path);
  });
});

it('parseNameservers reads what a resolver reads', () => {
  const text = '# nameserver 9.9.9.9\nsearch lan\nnameserver 1.1.1.1\n  nameserver\t::1 # x\n';
  expect(parseNameservers(text)).toEqual(['1.1.1.1', '::1']);
});

it.each([
  ['127.0.0.1', false],
  ['169.254.3.4', false],
  ['10.255.255.1', true],
])('isReachable(%s) is %s', (address, expected) => {
  expect(isReachable(address)).toBe(expected);
});
