import { describe, expect, test } from 'vitest';
import type { Place } from '../../../scripts/local-cluster/place.ts';
import { waitReady } from '../../../scripts/local-cluster/wait-ready.ts';

/** A place whose controller is seen as `seen` says, one look after the other, and is Ready whenever it is asked. */
function placeWith(seen: readonly boolean[]): Place {
  const looks = [...seen];
  const status = {
    node: { name: 'up', isReady: true, message: '' },
    addons: [{ name: 'coredns', isReady: true, message: '' }],
  };
  return {
    description: 'nowhere',
    server: '',
    run: async () => ({ exitCode: 0, stdout: JSON.stringify(status), stderr: '' }),
    startController: async () => {},
    isControllerRunning: async () => looks.shift() ?? false,
    copyKubectl: async () => {},
  };
}

describe('waiting for a local cluster', () => {
  const wait = (...seen: readonly boolean[]) =>
    waitReady({ place: placeWith(seen), logDirectory: '/nowhere', say: () => {} });

  test('a controller that is not seen once is looked for again', async () => {
    expect(await wait(false, true)).toEqual({ kind: 'ready' });
  });

  test('one that is not seen twice has ended', async () => {
    expect(await wait(false, false)).toEqual({ kind: 'ended', log: '' });
  });
});
