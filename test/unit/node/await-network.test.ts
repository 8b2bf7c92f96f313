import { expect, it } from 'vitest';
import { isNetworkUp } from '../../../src/node/await-network.ts';

it.each([
  ['at the first start there is nothing to wait for', [], false, undefined, true],
  ['neither the address nor a route', ['127.0.0.1'], false, '10.0.0.7', false],
  [
    'the address of the last start, on a network without a router',
    ['10.0.0.7'],
    false,
    '10.0.0.7',
    true,
  ],
  ['another address, with a route: DHCP gave a new one', ['10.0.0.8'], true, '10.0.0.7', true],
] as const)('%s', (_case, addresses, hasDefaultRoute, lastAddress, isUp) => {
  expect(isNetworkUp({ addresses, hasDefaultRoute }, lastAddress)).toBe(isUp);
});
