import { describe, expect, it } from 'vitest';
import { createDiscovery } from '../../../src/kube-client/discovery.ts';
import { kubeApiErrorFrom } from '../../../src/kube-client/errors.ts';

describe('discovery', () => {
  it('asks once per API version, again for an unknown kind, and again after forget', async () => {
    const asked: string[] = [];
    let resources = [{ name: 'deployments', kind: 'Deployment', namespaced: true }];
    const discovery = createDiscovery(async <T>(path: string) => {
      asked.push(path);
      return { resources } as T;
    });
    expect((await discovery.find('apps/v1', 'Deployment'))?.plural).toBe('deployments');
    await discovery.find('apps/v1', 'Deployment');
    expect(asked).toEqual(['/apis/apps/v1']);
    expect(await discovery.find('apps/v1', 'DaemonSet')).toBeUndefined();
    resources = [
      { name: 'daemonsets/status', kind: 'DaemonSet', namespaced: true },
      { name: 'daemonsets', kind: 'DaemonSet', namespaced: true },
    ];
    expect((await discovery.find('apps/v1', 'DaemonSet'))?.plural).toBe('daemonsets');
    discovery.forget('apps/v1');
    expect(await discovery.find('apps/v1', 'Deployment')).toBeUndefined();
    expect(asked).toHaveLength(4);
  });

  it('takes a missing group for "not served", and passes other errors on', async () => {
    let status = 404;
    const discovery = createDiscovery(async () => {
      throw kubeApiErrorFrom(status, '');
    });
    expect(await discovery.find('a.example/v1', 'A')).toBeUndefined();
    status = 503;
    await expect(discovery.find('a.example/v1', 'A')).rejects.toMatchObject({ code: 503 });
  });
});
