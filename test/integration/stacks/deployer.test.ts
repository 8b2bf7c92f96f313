import { rm, writeFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { nodeRbac } from '../../../src/addons/node-rbac.ts';
import type { AddonContext } from '../../../src/addons/types.ts';
import { waitFor } from '../../../src/base/time.ts';
import type { KubeObject } from '../../../src/kube-client/types.ts';
import type { ManifestStack } from '../../../src/stacks/types.ts';
import { configMap, configMapRef, configMaps } from '../../support/core-objects.ts';
import { waitForObject, writeManifest } from '../../support/deployer.ts';
import { dataOf, deployerRig } from './deployer-rig.ts';

const widgetDefinition: KubeObject = {
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: 'widgets.test.example' },
  spec: {
    group: 'test.example',
    scope: 'Namespaced',
    names: { plural: 'widgets', singular: 'widget', kind: 'Widget', listKind: 'WidgetList' },
    versions: [
      {
        name: 'v1',
        served: true,
        storage: true,
        schema: {
          openAPIV3Schema: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true },
        },
      },
    ],
  },
};

const widgets = {
  apiVersion: 'test.example/v1',
  kind: 'Widget',
  plural: 'widgets',
  namespaced: true,
};

describe('the deployer against a real API server', () => {
  const rig = deployerRig();
  const { file, start, inventories } = rig;

  it('applies packaged stacks, labels them, and changes nothing the second time', async () => {
    const web: ManifestStack = { name: 'web', objects: [configMap('web', { a: '1' })] };
    const first = start([web]);
    await first.waitForState('web', 'Applied');
    const before = await rig.client.get(configMapRef('web'));
    expect(before?.metadata.labels).toEqual({ 'mini-k8s.io/stack': 'web' });
    expect(first.events).toEqual([{ type: 'stack-applied', name: 'web', changed: 1, pruned: 0 }]);
    await first.stop();
    const second = start([web]);
    await second.waitForState('web', 'Applied');
    const after = await rig.client.get(configMapRef('web'));
    expect(after?.metadata.resourceVersion).toBe(before?.metadata.resourceVersion);
    expect(second.events).toEqual([{ type: 'stack-applied', name: 'web', changed: 0, pruned: 0 }]);
  });

  it('repairs its own fields, keeps those of others, and makes deleted objects again', async () => {
    const deployer = start([{ name: 'web', objects: [configMap('web', { ours: '1' })] }]);
    await deployer.waitForState('web', 'Applied');
    const edit = {
      metadata: { labels: { theirs: 'yes', 'mini-k8s.io/stack': null } },
      data: { ours: 'edited', theirs: '2' },
    };
    await rig.client.patch(configMapRef('web'), edit, { type: 'merge' });
    await waitForObject(rig.client, configMapRef('web'), (object) => {
      return dataOf(object)['ours'] === '1';
    });
    const repaired = await rig.client.get(configMapRef('web'));
    expect(repaired?.['data']).toEqual({ ours: '1', theirs: '2' });
    expect(repaired?.metadata.labels).toEqual({ theirs: 'yes', 'mini-k8s.io/stack': 'web' });
    await rig.client.delete(configMapRef('web'));
    await waitForObject(rig.client, configMapRef('web'), (object) => object !== undefined);
    const drift = { type: 'stack-drift-repaired', name: 'web', object: 'ConfigMap default/web' };
    await waitFor(() => deployer.events.filter(({ type }) => type === drift.type).length === 2, {
      subject: 'two repairs',
      timeoutMs: 60_000,
      describe: () => JSON.stringify(deployer.events),
    });
    expect(deployer.events.slice(1)).toEqual([drift, drift]);
  });

  it('calls it no repair when somebody else applied something of their own', async () => {
    // The constraints are one value, and the server completes it: as they are here, they never are what it has.
    const rule = { apiGroups: [''], apiVersions: ['v1'], operations: ['CREATE'] };
    const policy = {
      apiVersion: 'admissionregistration.k8s.io/v1',
      kind: 'ValidatingAdmissionPolicy',
      metadata: { name: 'test-policy' },
      spec: {
        matchConstraints: { resourceRules: [{ ...rule, resources: ['nodes'] }] },
        validations: [{ expression: 'true' }],
      },
    };
    // The server counts in seconds: time for another one between our applies.
    const deployer = start([{ name: 'policy', objects: [policy] }, witness], { driftMs: 3_000 });
    await deployer.waitForState('witness', 'Applied');
    const { spec: _, ...named } = policy;
    const theirs = { ...named, metadata: { ...named.metadata, annotations: { theirs: 'yes' } } };
    await rig.client.apply(theirs, { fieldManager: 'somebody-else', force: false });
    await rig.client.delete(configMapRef('witness'));
    await waitForObject(rig.client, configMapRef('witness'), (object) => object !== undefined);
    const repairs = deployer.events.filter(({ type }) => type === 'stack-drift-repaired');
    expect(repairs).toMatchObject([{ object: 'ConfigMap default/witness' }]);
  });

  it('writes nothing to the policies about nodes when somebody else applied something', async () => {
    const stack = nodeRbac.planStack({} as AddonContext);
    const deployer = start([stack, witness], { driftMs: 3_000 });
    await deployer.waitForState('witness', 'Applied');
    const kind = 'ValidatingAdmissionPolicy';
    const versions = new Map<string, string | undefined>();
    for (const policy of stack.objects.filter((object) => object.kind === kind)) {
      const { apiVersion, metadata } = policy;
      const theirs = {
        apiVersion,
        kind,
        metadata: { ...metadata, annotations: { theirs: 'yes' } },
      };
      const options = { fieldManager: 'somebody-else', force: false };
      const applied = await rig.client.apply(theirs, options);
      versions.set(metadata.name, applied.metadata.resourceVersion);
    }
    expect(versions.size).toBe(2);
    await rig.client.delete(configMapRef('witness'));
    await waitForObject(rig.client, configMapRef('witness'), (object) => object !== undefined);
    const resource = await rig.client.discover('admissionregistration.k8s.io/v1', kind);
    const { items } = await rig.client.list(resource ?? configMaps);
    expect(new Map(items.map(({ metadata }) => [metadata.name, metadata.resourceVersion]))).toEqual(
      versions,
    );
  });

  it('prunes what left a packaged stack, and a stack that is no longer packaged', async () => {
    const both = { name: 'web', objects: [configMap('one', {}), configMap('two', {})] };
    const first = start([both]);
    await first.waitForState('web', 'Applied');
    await first.stop();
    const second = start([{ name: 'web', objects: [configMap('one', {})] }]);
    await waitForObject(rig.client, configMapRef('two'), (object) => object === undefined);
    await second.waitForState('web', 'Applied');
    expect(second.events).toEqual([{ type: 'stack-applied', name: 'web', changed: 0, pruned: 1 }]);
    await second.stop();
    const third = start([]);
    await third.waitForEvent('stack-deleted');
    expect(await rig.client.get(configMapRef('one'))).toBeUndefined();
    expect(third.events).toEqual([{ type: 'stack-deleted', name: 'web' }]);
    expect(await inventories()).toEqual([]);
  });

  it('leaves objects alone that are no longer labelled as its own', async () => {
    const first = start([{ name: 'web', objects: [configMap('adopted', {})] }]);
    await first.waitForState('web', 'Applied');
    await first.stop();
    const unlabel = { metadata: { labels: { 'mini-k8s.io/stack': null } } };
    await rig.client.patch(configMapRef('adopted'), unlabel, { type: 'merge' });
    const second = start([]);
    await second.waitForEvent('stack-deleted');
    expect(await rig.client.get(configMapRef('adopted'))).toBeDefined();
    await rig.client.delete(configMapRef('adopted'));
  });

  it('applies a definition before its objects, whatever the order of the files', async () => {
    const widget = {
      apiVersion: 'test.example/v1',
      kind: 'Widget',
      metadata: { name: 'w' },
      size: 1,
    };
    await writeManifest(file('widgets/a-object.json'), [widget]);
    await writeManifest(file('widgets/b-definition.yaml'), [widgetDefinition]);
    const deployer = start();
    await deployer.waitForState('widgets', 'Applied');
    const ref = { resource: widgets, name: 'w', namespace: 'default' };
    expect((await rig.client.get(ref))?.['size']).toBe(1);
    expect(deployer.events.filter(({ type }) => type === 'stack-failed')).toEqual([]);
    await rm(file('widgets'), { recursive: true });
    await deployer.waitForState('widgets', 'absent');
    await waitFor(
      async () => (await rig.client.discover('test.example/v1', 'Gadget')) === undefined,
      {
        subject: 'the definition to go',
        timeoutMs: 60_000,
      },
    );
  });

  it('waits for a kind that comes later with another stack', async () => {
    const widget = { apiVersion: 'test.example/v1', kind: 'Widget', metadata: { name: 'late' } };
    await writeManifest(file('objects/w.json'), [widget, configMap('beside', {})]);
    const deployer = start();
    await waitForObject(rig.client, configMapRef('beside'), (object) => object !== undefined);
    await writeManifest(file('definitions/d.json'), [widgetDefinition]);
    await deployer.waitForState('definitions', 'Applied');
    await deployer.waitForState('objects', 'Applied');
    const ref = { resource: widgets, name: 'late', namespace: 'default' };
    expect((await rig.client.get(ref))?.metadata.labels).toEqual({
      'mini-k8s.io/stack': 'objects',
    });
  });

  it('follows user manifests: new, changed, smaller, empty, gone', async () => {
    const deployer = start();
    await writeManifest(file('app/one.yaml'), [configMap('one', { v: '1' })]);
    await writeManifest(file('app/two.yaml'), [configMap('two', {})]);
    await deployer.waitForState('app', 'Applied');
    await writeManifest(file('app/one.yaml'), [configMap('one', { v: '2' })]);
    await waitForObject(rig.client, configMapRef('one'), (object) => {
      return dataOf(object)['v'] === '2';
    });
    await rm(file('app/two.yaml'));
    await waitForObject(rig.client, configMapRef('two'), (object) => object === undefined);
    expect(await rig.client.get(configMapRef('one'))).toBeDefined();
    await rm(file('app/one.yaml'));
    await waitForObject(rig.client, configMapRef('one'), (object) => object === undefined);
    expect(deployer.status('app')).toMatchObject({ state: 'Applied', objects: 0 });
    await rm(file('app'), { recursive: true });
    await deployer.waitForState('app', 'absent');
    expect(deployer.events.filter(({ type }) => type === 'stack-failed')).toEqual([]);
  });

  it('keeps the last good version of a broken stack, and the other stacks go on', async () => {
    const deployer = start();
    await writeManifest(file('app/app.yaml'), [configMap('app', { v: '1' })]);
    await deployer.waitForState('app', 'Applied');
    await writeFile(
      file('app/app.yaml'),
      'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: app, name',
    );
    await writeManifest(file('other/o.yaml'), [configMap('other', {})]);
    await deployer.waitForState('other', 'Applied');
    await deployer.waitForState('app', 'Failed');
    expect(deployer.status('app')?.message).toMatch(/^Cannot read app\.yaml: line 3: /);
    await rig.client.delete(configMapRef('app'));
    await waitForObject(rig.client, configMapRef('app'), (object) => object !== undefined);
    expect(deployer.events.filter(({ type }) => type === 'stack-failed')).toHaveLength(1);
    await writeManifest(file('app/app.yaml'), [configMap('app', { v: '3' })]);
    await deployer.waitForState('app', 'Applied');
  });

  it('deletes nothing of a stack whose files are broken when it starts', async () => {
    await writeManifest(file('app/app.yaml'), [configMap('app', {})]);
    const first = start();
    await first.waitForState('app', 'Applied');
    await first.stop();
    await writeFile(file('app/app.yaml'), '{"kind"');
    const second = start([witness]);
    await second.waitForState('app', 'Failed');
    await passes();
    expect(await rig.client.get(configMapRef('app'))).toBeDefined();
  });

  it('deletes nothing when the manifests directory itself is gone', async () => {
    await writeManifest(file('app/app.yaml'), [configMap('app', {})]);
    const first = start();
    await first.waitForState('app', 'Applied');
    await rm(rig.manifestsDir, { recursive: true });
    await first.waitForState('manifests', 'Failed');
    await first.stop();
    const second = start([witness]);
    await second.waitForState('manifests', 'Failed');
    await passes();
    expect(await rig.client.get(configMapRef('app'))).toBeDefined();
    expect(
      [...first.events, ...second.events].filter(({ type }) => type === 'stack-deleted'),
    ).toEqual([]);
  });

  const witness: ManifestStack = { name: 'witness', objects: [configMap('witness', {})] };

  /** Two whole passes of a deployer with the stack `witness`: what it would delete by mistake would be gone by then. */
  async function passes(): Promise<void> {
    for (let count = 0; count < 2; count += 1) {
      await waitForObject(rig.client, configMapRef('witness'), (object) => object !== undefined);
      await rig.client.delete(configMapRef('witness'));
    }
    await waitForObject(rig.client, configMapRef('witness'), (object) => object !== undefined);
  }
});
