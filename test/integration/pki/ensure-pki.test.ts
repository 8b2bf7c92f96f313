import { chmod, chown, mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { certificateStatuses } from '../../../src/pki/certificate-statuses.ts';
import { ensurePki } from '../../../src/pki/ensure-pki.ts';
import { readSecret } from '../../../src/pki/ensure-secret.ts';
import type { PkiEvent, PkiPlan } from '../../../src/pki/types.ts';
import {
  clockAt,
  dayMs,
  inconsistencies,
  planIn,
  snapshot,
  startMs,
  temporaryDirectory,
} from './plan.ts';

async function run(plan: PkiPlan, nowMs = startMs): Promise<string[]> {
  const events: string[] = [];
  const onEvent = (event: PkiEvent) => {
    const reason = 'reason' in event ? ` ${event.reason}` : '';
    events.push(`${event.type} ${event.name}${reason}`);
  };
  await ensurePki(plan, { clock: clockAt(nowMs), onEvent });
  return events;
}

describe('ensurePki', () => {
  it('makes everything, with modes and owners, and nothing more in a second run', async () => {
    await using directory = await temporaryDirectory();
    const plan = planIn(directory.path);
    expect(await run(plan)).toEqual([
      'authority-created ca',
      'authority-created etcd',
      'key-pair-created service-account',
      'secret-created encryption',
      'certificate-issued kube-apiserver missing',
      'certificate-issued admin missing',
      'certificate-issued etcd-server missing',
    ]);
    const first = await snapshot(directory.path);
    const access = Object.entries(first).map(
      ([name, facts]) => `${name} ${facts.mode} ${facts.owner}`,
    );
    const me = `${process.geteuid?.()}:${process.getegid?.()}`;
    expect(access.toSorted()).toEqual([
      `admin.crt 644 ${me}`,
      `admin.key 600 ${me}`,
      `ca.crt 644 ${me}`,
      `ca.key 600 ${me}`,
      `encryption.secret 600 ${me}`,
      `etcd/ca.crt 644 ${me}`,
      `etcd/ca.key 600 ${me}`,
      'etcd/server.crt 644 1234:1235',
      'etcd/server.key 600 1234:1235',
      `kube-apiserver.crt 644 ${me}`,
      `kube-apiserver.key 600 ${me}`,
      `sa.key 600 ${me}`,
      `sa.pub 644 ${me}`,
    ]);
    expect(await inconsistencies(plan)).toEqual([]);
    expect(Buffer.from(await readSecret(plan.secrets[0]), 'base64')).toHaveLength(32);

    expect(await run(plan, startMs + dayMs)).toEqual([]);
    expect(await snapshot(directory.path)).toEqual(first);
  });

  it('makes directories that only their owner can write, whatever the umask', async () => {
    await using directory = await temporaryDirectory();
    const old = process.umask(0);
    try {
      await run(planIn(path.join(directory.path, 'a/b')));
    } finally {
      process.umask(old);
    }
    for (const name of ['a', 'a/b', 'a/b/etcd']) {
      const { mode } = await stat(path.join(directory.path, name));
      expect(mode & 0o022, name).toBe(0);
    }
  });

  it('corrects modes and owners without a new write', async () => {
    await using directory = await temporaryDirectory();
    const plan = planIn(directory.path);
    await run(plan);
    const before = await snapshot(directory.path);
    await chmod(path.join(directory.path, 'ca.key'), 0o644);
    await chown(path.join(directory.path, 'etcd/server.key'), 0, 0);
    await chmod(path.join(directory.path, 'encryption.secret'), 0o666);
    expect(await run(plan)).toEqual([]);
    const strip = (facts: Awaited<ReturnType<typeof snapshot>>) =>
      Object.entries(facts).map(([name, { version, ...rest }]) => [
        name,
        version.split('@')[0],
        rest,
      ]);
    expect(strip(await snapshot(directory.path))).toEqual(strip(before));
  });

  it('renews a leaf in one write that keeps the key, when two thirds of its life are over', async () => {
    await using directory = await temporaryDirectory();
    const plan = planIn(directory.path);
    await run(plan);
    const before = await snapshot(directory.path);
    expect(await run(plan, startMs + 244 * dayMs)).toEqual([
      'certificate-issued kube-apiserver expiring',
      'certificate-issued admin expiring',
      'certificate-issued etcd-server expiring',
    ]);
    const after = await snapshot(directory.path);
    const changed = Object.keys(after).filter(
      (name) => after[name]?.version !== before[name]?.version,
    );
    expect(changed.toSorted()).toEqual(['admin.crt', 'etcd/server.crt', 'kube-apiserver.crt']);
    expect(await inconsistencies(plan)).toEqual([]);
    expect(await run(plan, startMs + 244 * dayMs)).toEqual([]);
  });

  it('issues again what the plan changed, and only that', async () => {
    await using directory = await temporaryDirectory();
    const plan = planIn(directory.path);
    await run(plan);
    const [apiserver, admin, etcd] = plan.certificates;
    const moved = { ...apiserver, ipAddresses: ['127.0.0.1', '192.0.2.9'] };
    expect(await run({ ...plan, certificates: [moved, admin, etcd] })).toEqual([
      'certificate-issued kube-apiserver sans-changed',
    ]);
    const renamed = { ...admin, organizations: ['edge:admins'] };
    const client = { ...etcd, usage: 'client' as const };
    expect(await run({ ...plan, certificates: [moved, renamed, client] })).toEqual([
      'certificate-issued admin subject-changed',
      'certificate-issued etcd-server usage-changed',
    ]);
  });

  it('issues every leaf again, with new keys, when another authority was put in place', async () => {
    await using directory = await temporaryDirectory();
    await using other = await temporaryDirectory();
    const plan = planIn(directory.path);
    await run(plan);
    await run(planIn(other.path));
    for (const name of ['ca.crt', 'ca.key']) {
      await writeFile(
        path.join(directory.path, name),
        await readFile(path.join(other.path, name), 'utf8'),
      );
    }
    expect(await run(plan)).toEqual([
      'certificate-issued kube-apiserver authority-changed',
      'certificate-issued admin authority-changed',
    ]);
    expect(await inconsistencies(plan)).toEqual([]);
  });

  it('uses an authority that others made, with its own name', async () => {
    await using directory = await temporaryDirectory();
    const plan = planIn(directory.path);
    const [ca, etcd] = plan.authorities;
    await run({
      ...plan,
      certificates: [],
      authorities: [{ ...ca, commonName: 'Our Root' }, etcd],
    });
    expect(await run(plan)).toHaveLength(3);
    expect(await inconsistencies(plan)).toEqual([]);
    expect(await run(plan)).toEqual([]);
  });

  it('refuses to issue while the clock is outside the life of the authority', async () => {
    await using directory = await temporaryDirectory();
    const plan = planIn(directory.path);
    await run({ ...plan, certificates: [] });
    const late = run(plan, startMs + 3651 * dayMs);
    await expect(late).rejects.toThrow('the clock says 2036-11-19T09:00:00.000Z');
    const early = run(plan, 0);
    await expect(early).rejects.toThrow('the clock says 1970-01-01T00:00:00.000Z');
  });

  it('shows all names that cannot be in a certificate, before anything is written', async () => {
    await using directory = await temporaryDirectory();
    const plan = planIn(path.join(directory.path, 'pki'));
    const [leaf] = plan.certificates;
    const bad = { ...leaf, dnsNames: ['ok', 'a, DNS:b'], ipAddresses: ['10.0.0.1:6443'] };
    await expect(run({ ...plan, certificates: [bad] })).rejects.toThrow(
      'Cannot issue the certificate kube-apiserver: "a, DNS:b" is not a DNS name\n' +
        'Cannot issue the certificate kube-apiserver: "10.0.0.1:6443" is not an IP address',
    );
    expect(await snapshot(directory.path)).toEqual({});
  });

  it('says which file could not be written', async () => {
    await using directory = await temporaryDirectory();
    const plan = planIn(directory.path);
    await mkdir(path.join(directory.path, 'sa.key'));
    await expect(run(plan)).rejects.toThrow(`Cannot read ${directory.path}/sa.key: EISDIR`);
    await rm(path.join(directory.path, 'sa.key'), { recursive: true });
    await writeFile(path.join(directory.path, 'etcd'), '');
    await expect(run(plan)).rejects.toThrow(`${directory.path}/etcd`);
  });
});

describe('certificateStatuses', () => {
  it('tells what is there', async () => {
    await using directory = await temporaryDirectory();
    const plan = planIn(directory.path);
    await run(plan);
    await rm(path.join(directory.path, 'etcd/ca.crt'));
    await writeFile(path.join(directory.path, 'admin.crt'), 'nonsense');
    const at = async (nowMs: number) =>
      (await certificateStatuses(plan, clockAt(nowMs))).map((status) =>
        'daysLeft' in status
          ? `${status.name} ${status.commonName} ${status.state} ${status.daysLeft}`
          : `${status.name} ${status.state}`,
      );
    expect(await at(startMs + 1)).toEqual([
      'ca kubernetes-ca valid 3649',
      'etcd missing',
      'kube-apiserver kube-apiserver valid 364',
      'admin unreadable',
      'etcd-server etcd valid 364',
    ]);
    expect((await at(startMs + 300 * dayMs))[2]).toBe('kube-apiserver kube-apiserver expiring 65');
    expect((await at(startMs + 366 * dayMs))[2]).toBe('kube-apiserver kube-apiserver expired -1');
    expect((await at(startMs - dayMs))[2]).toBe('kube-apiserver kube-apiserver not-yet-valid 366');
    const [first] = await certificateStatuses(plan, clockAt(startMs));
    expect(first).toMatchObject({ notAfter: '2036-11-18T09:00:00.000Z' });
  });
});
