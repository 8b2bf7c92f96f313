import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { HostRecord } from '../../../src/host/ensure-host-settings.ts';
import type { HostEvent, HostSetting } from '../../../src/host/types.ts';
import { callHostEngine, hostEngineBinds } from '../../support/host-engine.ts';
import { createNode } from '../../support/node/create-node.ts';
import { nodeSkipReason } from '../../support/node/skip-reason.ts';
import type { TestNode } from '../../support/node/types.ts';

describe.skipIf(nodeSkipReason() !== undefined)('host settings', () => {
  let node: TestNode;
  const ensure = (...settings: readonly HostSetting[]) =>
    callHostEngine<HostEvent[]>(node, 'ensure', settings);
  const records = () => callHostEngine<HostRecord[]>(node, 'records');
  const undo = () => callHostEngine<string[]>(node, 'undo');
  const read = async (key: string) =>
    (await node.readFile(`/proc/sys/${key.replaceAll('.', '/')}`)).trim();
  const write = (key: string, value: string) =>
    node.run(['sh', '-c', `echo ${value} > /proc/sys/${key.replaceAll('.', '/')}`]);

  beforeAll(async () => {
    node = await createNode({ name: 'host-settings', cpus: 'all', binds: hostEngineBinds });
  });
  afterAll(async () => {
    await node?.destroy();
  });

  const forward: HostSetting = { type: 'sysctl', key: 'net.ipv4.ip_forward', value: '1' };

  test('a sysctl is recorded, set once, and put back', async () => {
    await write('net.ipv4.ip_forward', '0');
    expect(await ensure(forward)).toEqual([
      { type: 'host-setting-changed', setting: 'sysctl net.ipv4.ip_forward=1' },
    ]);
    expect(await read('net.ipv4.ip_forward')).toBe('1');
    expect(await ensure(forward)).toEqual([]);
    expect(await records()).toEqual([
      { type: 'sysctl', key: 'net.ipv4.ip_forward', previous: '0', value: '1' },
    ]);
    expect(await undo()).toEqual(['sysctl net.ipv4.ip_forward: back to 0']);
    expect(await read('net.ipv4.ip_forward')).toBe('0');
    expect(await undo()).toEqual([]);
  });

  test('one that is right already is not ours', async () => {
    await write('net.ipv4.ip_forward', '1');
    expect(await ensure(forward)).toEqual([]);
    expect(await undo()).toEqual([]);
    expect(await read('net.ipv4.ip_forward')).toBe('1');
    await write('net.ipv4.ip_forward', '0');
  });

  test('after a reboot the first recorded value still counts', async () => {
    await ensure(forward);
    // The machine boots with another default than it had at the first start.
    await write('net.ipv4.ip_forward', '0');
    await ensure(forward);
    expect(await records()).toHaveLength(1);
    expect(await undo()).toEqual(['sysctl net.ipv4.ip_forward: back to 0']);
  });

  test('what somebody changed since then is left alone', async () => {
    const ttl: HostSetting = { type: 'sysctl', key: 'net.ipv4.ip_default_ttl', value: '65' };
    await ensure(ttl);
    await write('net.ipv4.ip_default_ttl', '99');
    expect(await undo()).toEqual([]);
    expect(await read('net.ipv4.ip_default_ttl')).toBe('99');
  });

  test('one that cannot be set: skipped when optional, else an error that says what to do', async () => {
    const missing = { type: 'sysctl', key: 'net.ipv4.no_such_key', value: '1' } as const;
    expect(await ensure({ ...missing, isOptional: true })).toEqual([
      {
        type: 'host-setting-skipped',
        setting: 'sysctl net.ipv4.no_such_key',
        reason: expect.stringContaining('ENOENT'),
      },
    ]);
    await expect(ensure(missing)).rejects.toThrow(
      /Cannot set sysctl net\.ipv4\.no_such_key to 1: ENOENT[\s\S]*sysctl -w net\.ipv4\.no_such_key=1/,
    );
    expect(await undo()).toEqual([]);
  });

  test('the record comes before the change: a read-only /proc/sys leaves one that undoes nothing', async () => {
    await node.run([
      'sh',
      '-c',
      'mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys',
    ]);
    try {
      await expect(ensure(forward)).rejects.toThrow(/Cannot set sysctl[\s\S]*EROFS/);
      expect(await records()).toHaveLength(1);
    } finally {
      await node.run(['umount', '/proc/sys']);
    }
    expect(await undo()).toEqual([]);
    expect(await read('net.ipv4.ip_forward')).toBe('0');
  });

  test('a link is made only where nothing is, and removed with its empty directory', async () => {
    const link: HostSetting = { type: 'link', path: '/run/some/where/link', target: '/target' };
    expect(await ensure(link)).toEqual([
      { type: 'host-setting-changed', setting: 'link /run/some/where/link' },
    ]);
    expect((await node.run(['readlink', link.path])).trim()).toBe('/target');
    expect(await ensure(link)).toEqual([]);
    expect(await undo()).toEqual(['link /run/some/where/link']);
    expect(await node.exists('/run/some/where')).toBe(false);

    await node.writeFile(link.path, 'of the owner');
    expect(await ensure(link)).toEqual([]);
    expect(await undo()).toEqual([]);
    expect(await node.readFile(link.path)).toBe('of the owner');
  });

  test('a link that points elsewhere by now is left alone', async () => {
    const link: HostSetting = { type: 'link', path: '/run/moved', target: '/target' };
    await ensure(link);
    await node.run(['ln', '-sfn', '/elsewhere', '/run/moved']);
    expect(await undo()).toEqual([]);
    expect((await node.run(['readlink', '/run/moved'])).trim()).toBe('/elsewhere');
  });

  test('a private root mount becomes shared, once', async () => {
    await node.run(['mount', '--make-rprivate', '/']);
    const shared: HostSetting = { type: 'shared-mount', path: '/' };
    expect(await ensure(shared)).toEqual([
      { type: 'host-setting-changed', setting: 'shared mount /' },
    ]);
    expect((await node.run(['findmnt', '-no', 'PROPAGATION', '/'])).trim()).toBe('shared');
    expect(await ensure(shared)).toEqual([]);
  });

  test('a module that cannot be loaded is skipped with the reason', async () => {
    expect(await ensure({ type: 'module', name: 'no_such_module' })).toEqual([
      {
        type: 'host-setting-skipped',
        setting: 'module no_such_module',
        reason: expect.stringMatching(/modprobe/),
      },
    ]);
    expect(await ensure({ type: 'module', name: 'overlay' })).toEqual([]);
  });
});
