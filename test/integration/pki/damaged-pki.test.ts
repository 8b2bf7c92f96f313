import { spawnSync } from 'node:child_process';
import { generateKeyPairSync } from 'node:crypto';
import { readFile, rm, truncate, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { UserError } from '../../../src/base/errors.ts';
import { ensurePki } from '../../../src/pki/ensure-pki.ts';
import type { PkiEvent } from '../../../src/pki/types.ts';
import {
  clockAt,
  dayMs,
  inconsistencies,
  planIn,
  snapshot,
  startMs,
  temporaryDirectory,
} from './plan.ts';

type Damage = (file: string) => Promise<void>;

const damages: Readonly<Record<string, Damage>> = {
  deleted: (file) => rm(file),
  empty: (file) => truncate(file, 0),
  half: async (file) => truncate(file, Math.floor((await readFile(file)).length / 2)),
  zeros: async (file) => writeFile(file, Buffer.alloc((await readFile(file)).length)),
  garbage: (file) => writeFile(file, 'x'.repeat(400)),
};

type Outcome = readonly [file: string, damage: string, outcome: string | readonly string[]];

/** What must come of a damage: the events of a repair, or the text of a refusal. */
const outcomes: readonly Outcome[] = [
  ['ca.crt', 'deleted', ['authority-created ca', 'kube-apiserver authority-changed']],
  ['ca.crt', 'empty', ['authority-created ca', 'kube-apiserver authority-changed']],
  ['ca.crt', 'zeros', ['authority-created ca', 'kube-apiserver authority-changed']],
  ['ca.crt', 'half', 'does not hold exactly one readable PEM certificate'],
  ['ca.crt', 'garbage', 'does not hold exactly one readable PEM certificate'],
  ['ca.key', 'deleted', 'is missing while'],
  ['ca.key', 'empty', 'is not a readable ECDSA P-256 private key'],
  ['ca.key', 'half', 'is not a readable ECDSA P-256 private key'],
  ['ca.key', 'zeros', 'is not a readable ECDSA P-256 private key'],
  ['ca.key', 'garbage', 'is not a readable ECDSA P-256 private key'],
  ['etcd/ca.crt', 'deleted', ['authority-created etcd']],
  ['etcd/ca.key', 'deleted', 'is missing while'],
  ...['kube-apiserver', 'admin'].flatMap((name) =>
    ['crt', 'key'].flatMap((kind) =>
      Object.keys(damages).map((damage) => {
        const reason = damage === 'deleted' ? 'missing' : 'unreadable';
        return [`${name}.${kind}`, damage, [`${name} ${reason}`]] as const;
      }),
    ),
  ),
  ['sa.key', 'deleted', 'is missing while'],
  ['sa.key', 'empty', 'is not a readable ECDSA P-256 private key'],
  ['sa.key', 'half', 'is not a readable ECDSA P-256 private key'],
  ['sa.key', 'garbage', 'is not a readable ECDSA P-256 private key'],
  ...Object.keys(damages).map((damage) => ['sa.pub', damage, []] as const),
  ['encryption.secret', 'deleted', ['secret-created encryption']],
  ['encryption.secret', 'empty', 'holds 0 bytes instead of 32'],
  ['encryption.secret', 'half', 'is not base64'],
  ['encryption.secret', 'zeros', 'is not base64'],
  ['encryption.secret', 'garbage', 'holds 300 bytes instead of 32'],
];

async function run(directory: string, nowMs = startMs): Promise<string[]> {
  const events: string[] = [];
  const onEvent = (event: PkiEvent) => {
    events.push(
      'reason' in event ? `${event.name} ${event.reason}` : `${event.type} ${event.name}`,
    );
  };
  await ensurePki(planIn(directory), { clock: clockAt(nowMs), onEvent });
  return events;
}

describe('a damaged file', () => {
  it.each(outcomes)('%s %s', async (file, damage, outcome) => {
    await using directory = await temporaryDirectory();
    await run(directory.path);
    await damages[damage]?.(path.join(directory.path, file));
    const damaged = await snapshot(directory.path);
    if (typeof outcome === 'string') {
      const error = await run(directory.path).catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(UserError);
      expect(error).toHaveProperty('message', expect.stringContaining(outcome));
      expect(error).toHaveProperty('message', expect.stringContaining(path.basename(file)));
      expect(error).toHaveProperty('fix', expect.stringContaining('restore'));
      expect(await snapshot(directory.path), 'nothing is written').toEqual(damaged);
      return;
    }
    expect(await run(directory.path)).toEqual(outcome);
    expect(await inconsistencies(planIn(directory.path))).toEqual([]);
    const repaired = await snapshot(directory.path);
    expect(await run(directory.path)).toEqual([]);
    expect(await snapshot(directory.path)).toEqual(repaired);
  });

  it('of an authority that is gone with both files is no reason for a new one', async () => {
    await using directory = await temporaryDirectory();
    await run(directory.path);
    await rm(path.join(directory.path, 'ca.crt'));
    await rm(path.join(directory.path, 'ca.key'));
    await expect(run(directory.path)).rejects.toThrow('a certificate was issued before');
  });

  it('swapped with that of another is noticed', async () => {
    await using directory = await temporaryDirectory();
    await run(directory.path);
    const at = (name: string) => path.join(directory.path, name);
    const keys = [await readFile(at('ca.key')), await readFile(at('admin.key'))] as const;
    await writeFile(at('admin.key'), keys[0]);
    expect(await run(directory.path)).toEqual(['admin key-mismatch']);
    const publicKey = await readFile(at('sa.pub'));
    const { publicKey: other } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    await writeFile(at('sa.pub'), other.export({ type: 'spki', format: 'pem' }));
    await expect(run(directory.path)).rejects.toThrow('is not the public key of');
    await writeFile(at('sa.pub'), publicKey);
    await writeFile(at('ca.key'), keys[1]);
    await expect(run(directory.path)).rejects.toThrow('is not the private key of');
    await writeFile(at('ca.key'), keys[0]);
    await writeFile(at('ca.crt'), await readFile(at('admin.crt')));
    await writeFile(at('ca.key'), await readFile(at('admin.key')));
    await expect(run(directory.path)).rejects.toThrow('is not a CA certificate');
  });

  it('is reported with all others at once, and with no secret in the text', async () => {
    await using directory = await temporaryDirectory();
    await run(directory.path);
    const before = await snapshot(directory.path);
    for (const name of ['ca.key', 'sa.key', 'encryption.secret']) {
      const content = before[name]?.content ?? '';
      await writeFile(path.join(directory.path, name), content.slice(0, -31));
    }
    const error = await run(directory.path).catch((reason: unknown) => reason);
    const text = String(error);
    expect(error).toHaveProperty('errors.length', 3);
    for (const name of ['ca.key', 'sa.key', 'encryption.secret']) {
      expect(text).toContain(name);
      expect(text).not.toContain(before[name]?.content.split('\n')[1] || before[name]?.content);
    }
  });
});

describe('SIGKILL', () => {
  const killedRun = fileURLToPath(new URL('./killed-run.ts', import.meta.url));
  const kill = (directory: string, moment: string, count: number, nowMs: number) =>
    spawnSync(process.execPath, [killedRun, directory, moment, String(count), String(nowMs)], {
      encoding: 'utf8',
    });

  it('between any two writes of the first run leaves what the next run completes', async () => {
    let renames = 0;
    for (let count = 1; ; count += 1) {
      await using directory = await temporaryDirectory();
      const moment = count % 2 === 0 ? 'before' : 'after';
      const child = kill(directory.path, moment, count, startMs);
      if (child.signal === null) {
        expect(child.status, child.stderr).toBe(0);
        break;
      }
      renames = count;
      const left = await snapshot(directory.path);
      await run(directory.path);
      expect(await inconsistencies(planIn(directory.path))).toEqual([]);
      const completed = await snapshot(directory.path);
      expect(Object.keys(completed).filter((name) => name.endsWith('.tmp'))).toEqual([]);
      for (const name of ['ca.crt', 'ca.key', 'sa.key', 'encryption.secret']) {
        if (left[name] !== undefined) expect(completed[name], name).toEqual(left[name]);
      }
      expect(await run(directory.path)).toEqual([]);
    }
    expect(renames).toBe(13);
  });

  it('during a renewal leaves pairs that match at every moment', async () => {
    await using directory = await temporaryDirectory();
    await run(directory.path);
    for (const moment of ['before', 'after']) {
      const child = kill(directory.path, moment, 2, startMs + 250 * dayMs);
      expect(child.signal, child.stderr).toBe('SIGKILL');
      expect(await inconsistencies(planIn(directory.path))).toEqual([]);
    }
    expect(await run(directory.path, startMs + 250 * dayMs)).toEqual([]);
  });
});
