import { copyFile, rename } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { waitFor } from '../../../src/base/time.ts';
import { createKubeClient } from '../../../src/kube-client/client.ts';
import { KubeApiError, KubeConnectionError } from '../../../src/kube-client/errors.ts';
import type { KubeClient, KubeObject, ResourceEvent } from '../../../src/kube-client/types.ts';
import { watchResource } from '../../../src/kube-client/watch-resource.ts';
import { startControlPlane, type TestControlPlane } from '../../support/control-plane.ts';
import { configMap, configMapRef, configMaps } from '../../support/core-objects.ts';

describe('the client against a real API server', () => {
  let plane: TestControlPlane;
  let client: KubeClient;

  beforeAll(async () => {
    plane = await startControlPlane();
    client = plane.connect();
  });
  afterAll(async () => {
    await plane?.stop();
  });

  it('creates, reads, lists, patches, replaces and deletes', async () => {
    const created = await client.create<KubeObject>(configMap('crud', { a: '1' }));
    expect(created.metadata.uid).toBeTruthy();
    const patched = await client.patch<KubeObject>(
      configMapRef('crud'),
      { data: { b: '2' } },
      { type: 'merge' },
    );
    expect(patched['data']).toEqual({ a: '1', b: '2' });
    await client.replace({ ...patched, data: { c: '3' } });
    expect((await client.get(configMapRef('crud')))?.['data']).toEqual({ c: '3' });
    const list = await client.list(configMaps, {
      namespace: 'default',
      fieldSelector: 'metadata.name=crud',
    });
    expect(list.items.map((item) => [item.apiVersion, item.kind, item.metadata.name])).toEqual([
      ['v1', 'ConfigMap', 'crud'],
    ]);
    expect(list.resourceVersion).toMatch(/^\d+$/);
    expect(await client.delete(configMapRef('crud'))).toBe(true);
    expect(await client.delete(configMapRef('crud'))).toBe(false);
    expect(await client.get(configMapRef('crud'))).toBeUndefined();
  });

  it('refuses a delete whose precondition no longer holds', async () => {
    await client.create(configMap('precondition', {}));
    const uid = '00000000-0000-0000-0000-000000000000';
    await expect(
      client.delete(configMapRef('precondition'), undefined, { uid }),
    ).rejects.toMatchObject({
      code: 409,
    });
  });

  it('lists metadata only, without the data', async () => {
    await client.create(configMap('metadata-only', { big: 'x'.repeat(1000) }));
    const { items } = await client.list(configMaps, { namespace: 'default', metadataOnly: true });
    const item = items.find(({ metadata }) => metadata.name === 'metadata-only');
    expect(item?.kind).toBe('ConfigMap');
    expect(item?.['data']).toBeUndefined();
  });

  it('applies on the server: fields of others stay, conflicts are reported unless forced', async () => {
    const desired = configMap('applied', { ours: '1' });
    const options = { fieldManager: 'mini-k8s', force: false };
    const first = await client.apply<KubeObject>(desired, options);
    const second = await client.apply<KubeObject>(desired, options);
    expect(second.metadata.resourceVersion).toBe(first.metadata.resourceVersion);
    await client.patch(configMapRef('applied'), { data: { theirs: '2' } }, { type: 'merge' });
    const third = await client.apply<KubeObject>(configMap('applied', { ours: '3' }), options);
    expect(third['data']).toEqual({ ours: '3', theirs: '2' });
    const other = { fieldManager: 'someone', force: false };
    await expect(client.apply(desired, other)).rejects.toMatchObject({
      code: 409,
      reason: 'Conflict',
    });
    const dry = await client.apply<KubeObject>(desired, { ...options, dryRun: true });
    expect(dry['data']).toEqual({ ours: '1', theirs: '2' });
    expect((await client.get(configMapRef('applied')))?.['data']).toEqual({
      ours: '3',
      theirs: '2',
    });
  });

  it('finds kinds by discovery and says which one is not served', async () => {
    expect(await client.discover('apps/v1', 'Deployment')).toEqual({
      apiVersion: 'apps/v1',
      kind: 'Deployment',
      plural: 'deployments',
      namespaced: true,
    });
    expect(await client.discover('nobody.example/v1', 'Nothing')).toBeUndefined();
    const object = { apiVersion: 'nobody.example/v1', kind: 'Nothing', metadata: { name: 'x' } };
    await expect(client.apply(object, { fieldManager: 'm', force: true })).rejects.toThrow(
      'the API server does not serve kind Nothing of nobody.example/v1',
    );
  });

  it('carries the reason of a refusal', async () => {
    const error = await client.create(configMap('Not_Valid', {})).catch((thrown) => thrown);
    expect(error).toBeInstanceOf(KubeApiError);
    expect(error).toMatchObject({ code: 422, reason: 'Invalid' });
    expect(error.details.causes[0].field).toBe('metadata.name');
  });

  it('works with a bearer token, and an unknown one is refused', async () => {
    const { server, caFile, adminToken } = plane;
    const good = createKubeClient({ server, caFile, token: adminToken });
    expect(await good.getJson<{ major: string }>('/version')).toMatchObject({ major: '1' });
    good.close();
    const bad = createKubeClient({ server, caFile, token: 'wrong' });
    await expect(bad.getJson('/version')).rejects.toMatchObject({ code: 401 });
    bad.close();
  });

  it('reports a closed port, an untrusted server and an abort each for what it is', async () => {
    const closed = createKubeClient({ server: 'https://127.0.0.1:1', caFile: plane.caFile });
    await expect(closed.getJson('/version')).rejects.toMatchObject({
      name: 'KubeConnectionError',
      code: 'ECONNREFUSED',
    });
    const stranger = createKubeClient({ server: plane.server, ...plane.admin });
    await expect(stranger.getJson('/version')).rejects.toBeInstanceOf(KubeConnectionError);
    stranger.close();
    const signal = AbortSignal.abort(new Error('enough'));
    await expect(client.getJson('/version', signal)).rejects.toThrow('enough');
  });

  it('takes up a renewed certificate when the old one is refused', async () => {
    const certFile = path.join(plane.directory, 'rotating.crt');
    const keyFile = path.join(plane.directory, 'rotating.key');
    const foreign = await plane.clientCertificate('nobody', []);
    await copyFile(foreign.certFile, certFile);
    await copyFile(foreign.keyFile, keyFile);
    // A certificate of another authority: the server cannot verify it and answers 401.
    const other = await selfSigned(plane.directory);
    await rename(other.certFile, certFile);
    await rename(other.keyFile, keyFile);
    const rotating = createKubeClient({
      server: plane.server,
      caFile: plane.caFile,
      certFile,
      keyFile,
    });
    await expect(rotating.list(configMaps)).rejects.toMatchObject({ code: 401 });
    await copyFile(plane.admin.certFile, certFile);
    await copyFile(plane.admin.keyFile, keyFile);
    expect((await rotating.list(configMaps)).resourceVersion).toBeTruthy();
    rotating.close();
  });

  it('watches until aborted', async () => {
    const { resourceVersion } = await client.list(configMaps);
    const stop = new AbortController();
    const seen: string[] = [];
    const watching = (async () => {
      const options = { resourceVersion, signal: stop.signal };
      for await (const event of client.watch(configMaps, options)) {
        if (event.type === 'BOOKMARK') continue;
        seen.push(`${event.type} ${event.object.metadata.name}`);
        if (event.type === 'DELETED') stop.abort();
      }
    })();
    await client.create(configMap('watched', {}));
    await client.patch(configMapRef('watched'), { data: { a: 'b' } }, { type: 'merge' });
    await client.delete(configMapRef('watched'));
    await watching;
    expect(seen).toEqual(['ADDED watched', 'MODIFIED watched', 'DELETED watched']);
  });

  it('follows a resource over a restart of the API server; a version from before it is gone (410)', async () => {
    const stop = new AbortController();
    const known = new Map<string, unknown>();
    const kinds = new Set<string>();
    const errors: unknown[] = [];
    const options = {
      namespace: 'default',
      labelSelector: 'follow=yes',
      signal: stop.signal,
      onError: (error: unknown) => errors.push(error),
    };
    const following = (async () => {
      for await (const event of watchResource<KubeObject>(client, configMaps, options)) {
        kinds.add(event.type);
        absorb(known, event);
      }
    })();
    const labelled = (name: string, data: Record<string, string>) => {
      const object = configMap(name, data);
      return { ...object, metadata: { ...object.metadata, labels: { follow: 'yes' } } };
    };
    await client.create(labelled('followed-1', { v: '1' }));
    await waitForNames(known, ['followed-1']);
    await plane.stopApiServer();
    await waitFor(() => errors.length > 0, { subject: 'the lost connection', timeoutMs: 60_000 });
    await plane.startApiServer();
    await client.create(labelled('followed-2', {}));
    await client.delete(configMapRef('followed-1'));
    await waitForNames(known, ['followed-2']);
    stop.abort();
    await following;
    const gone = client.watch(configMaps, { resourceVersion: '1' })[Symbol.asyncIterator]();
    await expect(gone.next()).rejects.toMatchObject({ code: 410 });
    expect(kinds.has('SYNCED')).toBe(true);
  });

  it('lists again when its version is gone', async () => {
    let lists = 0;
    const list: typeof client.list = async (resource, listOptions) => {
      lists += 1;
      const answer = await client.list<never>(resource, listOptions);
      return lists === 1 ? { ...answer, resourceVersion: '1' } : answer;
    };
    const stop = new AbortController();
    const errors: unknown[] = [];
    const options = { signal: stop.signal, onError: (error: unknown) => errors.push(error) };
    const events: string[] = [];
    for await (const event of watchResource({ ...client, list }, configMaps, options)) {
      events.push(event.type);
      if (events.length === 2) stop.abort();
    }
    expect(events).toEqual(['SYNCED', 'SYNCED']);
    expect(errors).toEqual([]);
  });
});

function absorb(known: Map<string, unknown>, event: ResourceEvent<KubeObject>): void {
  if (event.type === 'SYNCED') {
    known.clear();
    for (const item of event.items) known.set(item.metadata.name, item);
  } else if (event.type === 'DELETED') {
    known.delete(event.object.metadata.name);
  } else {
    known.set(event.object.metadata.name, event.object);
  }
}

async function waitForNames(known: Map<string, unknown>, names: readonly string[]): Promise<void> {
  await waitFor(() => [...known.keys()].sort().join() === names.join(), {
    subject: `objects ${names.join()}`,
    timeoutMs: 40_000,
    describe: () => [...known.keys()].join(),
  });
}

async function selfSigned(directory: string): Promise<{ certFile: string; keyFile: string }> {
  const { execFileSync } = await import('node:child_process');
  const certFile = path.join(directory, 'foreign.crt');
  const keyFile = path.join(directory, 'foreign.key');
  execFileSync(
    'openssl',
    [
      ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'],
      ...['-keyout', keyFile, '-out', certFile, '-subj', '/O=system:masters/CN=x', '-days', '1'],
    ],
    { stdio: 'ignore' },
  );
  return { certFile, keyFile };
}
