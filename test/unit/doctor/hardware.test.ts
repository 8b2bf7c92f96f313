import { describe, expect, test } from 'vitest';
import { type DiskFacts, judgeDisk } from '../../../src/doctor/data-directory.ts';
import { judgeMemory } from '../../../src/doctor/memory.ts';
import { judgePageSize, parsePageSize } from '../../../src/doctor/page-size.ts';
import { judgeSwap, parseSwaps, type SwapArea } from '../../../src/doctor/swap.ts';
import { judgeTime, type TimeFacts } from '../../../src/doctor/time.ts';
import { judgeLatency } from '../../../src/doctor/write-latency.ts';

const mebibyte = 1024 ** 2;
const gibibyte = 1024 ** 3;

describe('memory', () => {
  const board = {
    totalBytes: 906 * mebibyte,
    availableBytes: 700 * mebibyte,
    hasControlPlane: true,
    isRunning: false,
  };

  test('a board with 1 GB, of which its firmware keeps some, is enough for a controller', () => {
    expect(judgeMemory(board)).toEqual([{ state: 'ok', what: '906 MiB, 700 of them available' }]);
  });

  test('half a gigabyte is enough for a worker, and little for a controller', () => {
    const small = { ...board, totalBytes: 430 * mebibyte, availableBytes: 300 * mebibyte };
    expect(judgeMemory(small)).toMatchObject([
      { state: 'warn', fix: expect.stringContaining('as a worker') },
    ]);
    expect(judgeMemory({ ...small, hasControlPlane: false })).toMatchObject([{ state: 'ok' }]);
  });

  test('what others take counts only while the node does not have its share', () => {
    const full = { ...board, availableBytes: 120 * mebibyte };
    expect(judgeMemory(full)).toMatchObject([{ state: 'warn' }]);
    expect(judgeMemory({ ...full, isRunning: true })).toMatchObject([{ state: 'ok' }]);
  });
});

describe('swap', () => {
  const area: SwapArea = {
    path: '/var/swap',
    type: 'file',
    sizeBytes: 512 * mebibyte,
    usedBytes: 3 * mebibyte,
    medium: 'card',
  };

  test('on an SD card it is a warning with the way out, in memory it is none', () => {
    expect(judgeSwap([area, { ...area, path: '/dev/zram0', medium: 'zram' }])).toMatchObject([
      { state: 'warn', fix: expect.stringMatching(/^swapoff \/var\/swap, .*zram$/) },
      { state: 'ok', what: '/dev/zram0: 512 MiB, 3 used, compressed in memory' },
    ]);
  });

  test('none is fine', () => {
    expect(judgeSwap([])).toEqual([{ state: 'ok', what: 'none' }]);
  });

  test('the table of the kernel', () => {
    const table = `Filename				Type		Size		Used		Priority
/dev/zram0                              partition	926716		1024		100
/mnt/my\\040swap                         file		524284		0		-2
`;
    expect(parseSwaps(table)).toEqual([
      { path: '/dev/zram0', type: 'partition', sizeBytes: 926716 * 1024, usedBytes: 1024 * 1024 },
      { path: '/mnt/my swap', type: 'file', sizeBytes: 524284 * 1024, usedBytes: 0 },
    ]);
  });
});

describe('the disk', () => {
  const disk: DiskFacts = {
    dataDir: '/var/lib/mini-k8s',
    totalBytes: 28 * gibibyte,
    freeBytes: 14 * gibibyte,
    inodes: 1_800_000,
    freeInodes: 1_600_000,
    hasCluster: false,
  };
  const states = (change: Partial<DiskFacts>) =>
    judgeDisk({ ...disk, ...change }).map(({ state }) => state);

  test('with room and inodes', () => {
    expect(judgeDisk(disk)).toEqual([
      { state: 'ok', what: '14336 MiB (50 %) are free for /var/lib/mini-k8s' },
      { state: 'ok', what: '1600000 inodes (88 %) are free' },
    ]);
  });

  test('a start is refused only where it could not work', () => {
    const freeBytes = 100 * mebibyte;
    expect(judgeDisk({ ...disk, freeBytes })).toMatchObject([
      {
        state: 'fail',
        prevents: 'use data directory /var/lib/mini-k8s',
        why: 'only 100 MiB are free there, 256 MiB are needed',
        repair: { type: 'prune-store' },
      },
    ]);
    // Somebody has to be able to delete something.
    expect(states({ freeBytes, hasCluster: true })).toEqual(['warn', 'ok']);
    expect(states({ freeBytes: 20 * mebibyte, hasCluster: true })).toEqual(['fail']);
  });

  test('below 15 % kubelet removes images: a warning before it comes to that', () => {
    expect(states({ freeBytes: 4 * gibibyte, hasCluster: true })).toEqual(['warn', 'ok']);
  });

  test('a new cluster needs more than one that is there', () => {
    const small = { totalBytes: 4 * gibibyte, freeBytes: gibibyte };
    expect(states(small)).toEqual(['warn', 'ok']);
    expect(states({ ...small, hasCluster: true })).toEqual(['ok', 'ok']);
  });

  test('inodes run out before bytes do, and some file systems have no number of them', () => {
    expect(states({ freeInodes: 10_000 })).toEqual(['ok', 'warn']);
    expect(states({ inodes: 0, freeInodes: 0 })).toEqual(['ok']);
  });

  test('that nothing can be written is all there is to say', () => {
    expect(judgeDisk({ ...disk, problem: 'the file system is read-only' })).toMatchObject([
      { state: 'fail', why: 'the file system is read-only' },
    ]);
  });
});

describe('the time that a write takes', () => {
  const judge = (samplesMs: readonly number[]) => judgeLatency({ directory: '/data', samplesMs });
  const many = (ms: number, count = 100) => Array.from({ length: count }, () => ms);

  test('an SSD', () => {
    expect(judge([...many(0.8, 99), 4])).toEqual([
      {
        state: 'ok',
        what: 'a write to /data is on the disk after 0.8 ms, in the slowest case of 100 after 4.0 ms',
      },
    ]);
  });

  test('one write of a hundred may be slow, two may not', () => {
    expect(judge([...many(1, 99), 50])).toMatchObject([{ state: 'ok' }]);
    expect(judge([...many(1, 98), 50, 50])).toMatchObject([
      { state: 'warn', why: expect.stringContaining('now and then') },
    ]);
  });

  test('an SD card, and what it means for the cluster', () => {
    expect(judge([...many(40, 60), 180, 190])).toMatchObject([
      {
        state: 'warn',
        what: 'a write to /data is on the disk after 40 ms, in the slowest case of 62 after 190 ms',
        why: 'etcd wants 99 of 100 within 10 ms: every change in the cluster waits for it, so that about 25 a second are possible',
      },
    ]);
  });

  test('a card that is dying', () => {
    expect(judge([1500, 2000])).toMatchObject([{ why: expect.stringContaining('time out') }]);
  });
});

describe('the clock', () => {
  const nowMs = Date.parse('2026-11-21T09:00:00Z');
  const facts: TimeFacts = {
    nowMs,
    releasedAtMs: Date.parse('2026-09-01T00:00:00Z'),
    isSynchronised: true,
    hasBatteryClock: true,
  };

  test('that a time server keeps right', () => {
    expect(judgeTime(facts)).toEqual([
      { state: 'ok', what: '2026-11-21T09:00:00Z, kept right by a time server' },
    ]);
  });

  test('that nobody can tell about is no reason to warn', () => {
    const { isSynchronised: _, ...rest } = facts;
    expect(judgeTime(rest)).toMatchObject([{ state: 'ok' }]);
  });

  test('that nobody keeps right, on a board without a battery', () => {
    expect(judgeTime({ ...facts, isSynchronised: false, hasBatteryClock: false })).toMatchObject([
      { state: 'warn', why: expect.stringContaining('no clock that runs without power') },
    ]);
  });

  test('of 1970', () => {
    expect(judgeTime({ ...facts, nowMs: 0 })).toMatchObject([
      {
        state: 'fail',
        why: 'the clock says 1970-01-01T00:00:00Z, and this release is of 2026-09-01T00:00:00Z',
      },
    ]);
  });

  test('that went back since the node last wrote something', () => {
    const lastWrite = { file: '/state/node-address', atMs: nowMs + 3_600_000 };
    expect(judgeTime({ ...facts, lastWrite })).toMatchObject([{ state: 'warn' }]);
    expect(judgeTime({ ...facts, lastWrite: { ...lastWrite, atMs: nowMs + 500 } })).toMatchObject([
      { state: 'ok' },
    ]);
  });
});

describe('the page size', () => {
  test('of a Raspberry Pi 5 is a warning with the line that changes it', () => {
    expect(judgePageSize(16_384)).toMatchObject([
      { state: 'warn', what: '16 KiB', fix: expect.stringContaining('kernel=kernel8.img') },
    ]);
    expect(judgePageSize(4096)).toEqual([{ state: 'ok', what: '4 KiB' }]);
    expect(judgePageSize(undefined)).toMatchObject([{ state: 'skipped' }]);
  });

  test('is in the auxiliary vector', () => {
    const auxv = Buffer.alloc(48);
    for (const [index, word] of [33n, 140_000n, 6n, 16_384n, 0n, 0n].entries()) {
      auxv.writeBigUInt64LE(word, index * 8);
    }
    expect(parsePageSize(auxv)).toBe(16_384);
    expect(parsePageSize(auxv.subarray(0, 16))).toBeUndefined();
  });
});
