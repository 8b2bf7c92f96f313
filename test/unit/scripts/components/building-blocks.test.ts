import { Parser } from 'tar';
import { describe, expect, test } from 'vitest';
import { isEntryOf } from '../../../../scripts/components/component-cache.ts';
import { packageVersions } from '../../../../scripts/components/debian.ts';
import { defaultName } from '../../../../scripts/components/go-build.ts';
import {
  isSwitchingVersion,
  parseModuleProxies,
} from '../../../../scripts/components/go-toolchain.ts';
import { formatBytes, formatSeconds } from '../../../../scripts/components/reporter.ts';
import { parseReadelf } from '../../../../scripts/components/shared-libraries.ts';
import {
  completeEntries,
  renderTar,
  type TarEntry,
} from '../../../../scripts/components/tar-layer.ts';

describe('tar', () => {
  const entries: readonly TarEntry[] = [
    { type: 'file', path: 'usr/bin/tool', mode: 0o755, size: 5, content: 'hello' },
    { type: 'symlink', path: 'bin', target: 'usr/bin' },
    { type: 'directory', path: 'tmp', mode: 0o1777 },
    { type: 'file', path: 'empty', mode: 0o644, size: 0, content: '' },
  ];

  test('entries come sorted, parents before children, each once', () => {
    const paths = completeEntries(entries).map((entry) => entry.path);
    expect(paths).toEqual(['bin', 'empty', 'tmp', 'usr', 'usr/bin', 'usr/bin/tool']);
    expect(completeEntries(entries.toReversed())).toEqual(completeEntries(entries));
  });

  test('a directory that is named keeps its mode wherever it stands in the list', () => {
    const child: TarEntry = { type: 'file', path: 'tmp/x', mode: 0o644, size: 0, content: '' };
    for (const list of [
      [child, ...entries],
      [...entries, child],
    ]) {
      expect(completeEntries(list).find(({ path }) => path === 'tmp')).toMatchObject({
        mode: 0o1777,
      });
    }
  });

  test('another program reads the same entries out of it: owner root, time zero', async () => {
    const seen: unknown[] = [];
    const parser = new Parser({
      strict: true,
      onReadEntry: (entry) => {
        const { path, type, mode, uid, gid, size, linkpath, mtime } = entry;
        seen.push({ path, type, mode, uid, gid, size, linkpath, mtime: mtime?.getTime() });
        entry.resume();
      },
    });
    for await (const chunk of renderTar(completeEntries(entries))) {
      if (chunk.length > 0) parser.write(Buffer.from(chunk));
    }
    parser.end();
    const owner = { uid: 0, gid: 0, mtime: 0 };
    expect(seen).toHaveLength(6);
    expect(seen).toContainEqual(
      expect.objectContaining({ ...owner, path: 'usr/bin/tool', mode: 0o755, size: 5 }),
    );
    expect(seen).toContainEqual(
      expect.objectContaining({ ...owner, path: 'bin', type: 'SymbolicLink', linkpath: 'usr/bin' }),
    );
    expect(seen).toContainEqual(expect.objectContaining({ path: 'tmp/', mode: 0o1777 }));
  });

  test('a file that is not as long as was said is refused', async () => {
    const wrong: TarEntry = { type: 'file', path: 'x', mode: 0o644, size: 4, content: 'hello' };
    const read = async () => {
      for await (const chunk of renderTar([wrong])) expect(chunk).toBeDefined();
    };
    await expect(read()).rejects.toThrow('x has 5 bytes, not 4');
  });
});

test('parseReadelf finds libraries and loader', () => {
  const text = `
      [Requesting program interpreter: /lib/ld-linux-aarch64.so.1]
 0x0000000000000001 (NEEDED)             Shared library: [libmnl.so.0]
 0x0000000000000001 (NEEDED)             Shared library: [libc.so.6]
 0x000000000000000e (SONAME)             Library soname: [libx.so.1]
`;
  expect(parseReadelf(text)).toEqual({
    needed: ['libmnl.so.0', 'libc.so.6'],
    interpreter: '/lib/ld-linux-aarch64.so.1',
  });
  expect(parseReadelf('There is no dynamic section in this file.')).toEqual({
    needed: [],
    interpreter: undefined,
  });
});

test.each([
  ['go1.26.8', true],
  ['go1.21', true],
  ['go1.20.14', false],
  ['go2.0', true],
  ['devel', false],
])('isSwitchingVersion(%s) is %s', (version, expected) => {
  expect(isSwitchingVersion(version)).toBe(expected);
});

test('parseModuleProxies takes addresses in order and nothing else', () => {
  expect(parseModuleProxies('https://a.example|http://b.example/x,direct')).toEqual([
    'https://a.example',
    'http://b.example/x',
  ]);
  expect(parseModuleProxies('off')).toEqual([]);
});

test.each([
  ['go.etcd.io/etcd/server/v3', 'server'],
  ['k8s.io/kubernetes/cmd/kubelet', 'kubelet'],
  ['github.com/coredns/coredns', 'coredns'],
])('go build calls %s %s', (packagePath, name) => {
  expect(defaultName(packagePath)).toBe(name);
});

test('isEntryOf does not take one component for another', () => {
  expect(isEntryOf('etcd-0123456789abcdef', 'etcd')).toBe(true);
  expect(isEntryOf('image-coredns-0123456789abcdef', 'coredns')).toBe(false);
  expect(isEntryOf('kube-router-0123456789abcdef', 'kube')).toBe(false);
  expect(isEntryOf('etcd-bin', 'etcd')).toBe(false);
});

test('packageVersions reads what apt calls its files', () => {
  const files = ['conntrack_1%3a1.4.7-1+b2_arm64.deb', 'libc6_2.36-9+deb12u14_arm64.deb'];
  expect(packageVersions(files, ['conntrack'])).toEqual(['conntrack=1:1.4.7-1+b2']);
});

test('times and sizes are short', () => {
  expect([formatSeconds(400), formatSeconds(294_700)]).toEqual(['0.4 s', '295 s']);
  expect([formatBytes(410), formatBytes(3_973_282), formatBytes(394_000_000)]).toEqual([
    '0.41 kB',
    '4 MB',
    '394 MB',
  ]);
});
