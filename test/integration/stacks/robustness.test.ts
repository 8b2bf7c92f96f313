import { mkdir, rm, symlink, writeFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { waitFor } from '../../../src/base/time.ts';
import type { KubeClient, KubeObject } from '../../../src/kube-client/types.ts';
import type { ManifestStack } from '../../../src/stacks/types.ts';
import { configMap, configMapRef, configMaps } from '../../support/core-objects.ts';
import { runDeployer, waitForObject, writeManifest } from '../../support/deployer.ts';
import { dataOf, deployerRig } from './deployer-rig.ts';

describe('the deployer among faults', () => {
  const rig = deployerRig();
  const { file, start, inventories } = rig;
  const stackObjects = async () =>
    (await rig.client.list(configMaps, { labelSelector: 'mini-k8s.io/stack' })).items
      .map(({ metadata }) => metadata.name)
      .sort();

  it('forgets no object whatever write the power is cut at', async () => {
    const before = { name: 'app', objects: [configMap('a', {}), configMap('b', {})] };
    const after = { name: 'app', objects: [configMap('b', { new: '1' }), configMap('c', {})] };
    const last = { name: 'app', objects: [configMap('d', {})] };
    let cuts = 0;
    for (const moment of ['before', 'after'] as const) {
      for (let write = 1; ; write += 1) {
        const first = start([before]);
        await first.waitForState('app', 'Applied');
        await first.stop();
        const wasCut = await runUntilCut(after, { write, moment });
        const final = start([last]);
        await final.waitForState('app', 'Applied');
        await final.stop();
        expect(await stackObjects(), `cut ${moment} write ${write}`).toEqual(['d']);
        const [inventory] = await inventories();
        expect(JSON.parse(String(dataOf(inventory)['objects']))).toHaveLength(1);
        if (!wasCut) break;
        cuts += 1;
      }
    }
    // Inventory, two applies, one delete, inventory: each is cut before and after it.
    expect(cuts).toBe(10);
  });

  /** False when the deployer was done before its n-th write. */
  async function runUntilCut(
    stack: ManifestStack,
    options: { write: number; moment: 'before' | 'after' },
  ): Promise<boolean> {
    let writes = 0;
    let isCut = false;
    const cut = async <T>(call: () => Promise<T>): Promise<T> => {
      writes += 1;
      if (writes < options.write) return await call();
      if (options.moment === 'after' && writes === options.write) await call();
      isCut = true;
      throw new Error('power cut');
    };
    const cutting: KubeClient = {
      ...rig.client,
      apply: (object, applyOptions) => cut(() => rig.client.apply(object, applyOptions)),
      delete: (ref, signal, preconditions) =>
        cut(() => rig.client.delete(ref, signal, preconditions)),
    };
    const deployer = runDeployer({
      client: cutting,
      manifestsDir: rig.manifestsDir,
      packaged: [stack],
    });
    await waitFor(() => isCut || deployer.status('app')?.state === 'Applied', {
      subject: 'the cut or the end',
      timeoutMs: 60_000,
      intervalMs: 20,
    });
    // Whether the error comes out of `stop` depends on who is first, it or the abort.
    await deployer.stop().catch(() => undefined);
    return isCut;
  }

  it('goes on by itself after the API server was away', async () => {
    const deployer = start([{ name: 'web', objects: [configMap('web', { a: '1' })] }]);
    await deployer.waitForState('web', 'Applied');
    await rig.client.patch(configMapRef('web'), { data: { a: 'edited' } }, { type: 'merge' });
    await rig.plane.stopApiServer();
    await writeManifest(file('app/app.yaml'), [configMap('app', {})]);
    await rig.plane.startApiServer();
    await deployer.waitForState('app', 'Applied');
    await waitForObject(rig.client, configMapRef('web'), (object) => dataOf(object)['a'] === '1');
    expect(deployer.events.filter(({ type }) => type === 'stack-failed')).toEqual([]);
  });

  it('gives an object to the stack that has it and names that one to the other', async () => {
    const deployer = start();
    await writeManifest(file('b/b.yaml'), [configMap('shared', { from: 'b' })]);
    await deployer.waitForState('b', 'Applied');
    await writeManifest(file('a/a.yaml'), [
      configMap('own', {}),
      configMap('shared', { from: 'a' }),
    ]);
    await deployer.waitForState('a', 'Failed');
    expect(deployer.status('a')?.message).toBe('ConfigMap default/shared belongs to stack b');
    expect(deployer.status('b')?.state).toBe('Applied');
    expect(dataOf(await rig.client.get(configMapRef('shared')))).toEqual({ from: 'b' });
    await writeManifest(file('b/b.yaml'), [configMap('other', {})]);
    await deployer.waitForState('a', 'Applied');
    const shared = await rig.client.get<KubeObject>(configMapRef('shared'));
    expect(dataOf(shared)).toEqual({ from: 'a' });
    expect(shared?.metadata.labels?.['mini-k8s.io/stack']).toBe('a');
  });

  it('a renamed stack directory keeps its objects', async () => {
    const deployer = start();
    await writeManifest(file('old/x.yaml'), [configMap('moved', {})]);
    await deployer.waitForState('old', 'Applied');
    const uid = (await rig.client.get(configMapRef('moved')))?.metadata.uid;
    await writeManifest(file('new/x.yaml'), [configMap('moved', {})]);
    await rm(file('old'), { recursive: true });
    await deployer.waitForState('old', 'absent');
    await deployer.waitForState('new', 'Applied');
    expect((await rig.client.get(configMapRef('moved')))?.metadata.uid).toBe(uid);
  });

  it('names what is wrong with a stack, once, and applies the rest of it', async () => {
    const deployer = start([{ name: 'web', objects: [configMap('web', {})] }]);
    const objects = [configMap('fine', {}), configMap('Not_Fine', {})];
    await writeManifest(file('bad/bad.yaml'), objects);
    await writeManifest(file('web/web.yaml'), [configMap('clash', {})]);
    await writeManifest(file('No_Name/x.yaml'), [configMap('unseen', {})]);
    await writeManifest(file('loose.yaml'), [configMap('unseen', {})]);
    await mkdir(file('link'));
    await symlink('/etc/passwd', file('link/passwd.yaml'));
    for (const name of ['bad', 'No_Name', 'loose.yaml', 'link']) {
      await deployer.waitForState(name, 'Failed');
    }
    expect(deployer.status('bad')?.message).toMatch(
      /^ConfigMap default\/Not_Fine: .*Invalid value/,
    );
    expect(deployer.status('No_Name')?.message).toContain('"No_Name" is no valid stack name');
    expect(deployer.status('loose.yaml')?.message).toContain('a stack is a directory');
    expect(deployer.status('link')?.message).toContain('links out of');
    await waitForObject(rig.client, configMapRef('fine'), (object) => object !== undefined);
    await waitFor(
      () => deployer.events.some((event) => event.type === 'stack-failed' && event.name === 'web'),
      { subject: 'the name clash to be told', timeoutMs: 60_000 },
    );
    expect(deployer.status('web')).toMatchObject({ origin: 'packaged', state: 'Applied' });
    const failed = deployer.events.filter(({ type }) => type === 'stack-failed');
    expect(failed).toHaveLength(5);
    expect(await stackObjects()).toEqual(['fine', 'web']);
  });

  it('puts objects without a namespace into default, and cluster-wide ones nowhere', async () => {
    await mkdir(file('app'));
    await writeFile(
      file('app/all.yaml'),
      [
        'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: bare}\ndata: {mode: "0644"}',
        'apiVersion: scheduling.k8s.io/v1\nkind: PriorityClass\nmetadata: {name: test-class, namespace: default}\nvalue: 10',
      ].join('\n---\n'),
    );
    const deployer = start();
    await deployer.waitForState('app', 'Applied');
    expect(await rig.client.get(configMapRef('bare'))).toBeDefined();
    const resource = await rig.client.discover('scheduling.k8s.io/v1', 'PriorityClass');
    if (resource === undefined) throw new Error('PriorityClass is not served');
    expect(await rig.client.get({ resource, name: 'test-class' })).toBeDefined();
  });
});
