import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { type KubeconfigEntry, mergeKubeconfig } from '../../../src/pki/merge-kubeconfig.ts';
import { issueLeaf, newAuthority, serverSpec } from './authority.ts';

const authority = newAuthority();
const greenhouse = entryOf(authority);

function entryOf(signer: ReturnType<typeof newAuthority>, clusterName = 'greenhouse') {
  const { certPem, keyPem } = issueLeaf(signer, { ...serverSpec, usage: 'client' });
  return {
    server: 'https://192.0.2.10:6443',
    clusterName,
    userName: `${clusterName}-admin`,
    contextName: clusterName,
    caData: signer.certificate.toString(),
    certData: certPem,
    keyData: keyPem,
  } satisfies KubeconfigEntry;
}

const merge = (text: string, entry: KubeconfigEntry = greenhouse) =>
  mergeKubeconfig(text, entry, '~/.kube/config');

const others = `# my clusters
apiVersion: v1
kind: Config
preferences: {colors: true}
clusters:
- cluster: {server: https://work.example:6443, insecure-skip-tls-verify: true} # not mine
  name: work
users:
- name: kubernetes-admin
  user:
    exec: {apiVersion: client.authentication.k8s.io/v1, command: aws}
contexts:
- name: work
  context: {cluster: work, user: kubernetes-admin, namespace: shop}
current-context: work
extensions:
- name: mine
  extension: {a: 1}
`;

describe('merging into a kubeconfig', () => {
  it.each(['', '\n', '# nothing yet\n', '---\n'])('makes a whole one of %j', async (text) => {
    const { text: merged, currentContext } = await merge(text);
    expect(currentContext).toBe('greenhouse');
    const config = parse(merged);
    expect(config['current-context']).toBe('greenhouse');
    expect(config.contexts).toEqual([
      { name: 'greenhouse', context: { cluster: 'greenhouse', user: 'greenhouse-admin' } },
    ]);
    expect(merged.startsWith(text)).toBe(true);
  });

  it('keeps everything that is there: other clusters, comments, unknown fields, the current context', async () => {
    const { text, currentContext } = await merge(others);
    expect(currentContext).toBe('work');
    for (const line of ['# my clusters', '# not mine']) expect(text).toContain(line);
    const before = parse(others);
    const after = parse(text);
    for (const list of ['clusters', 'users', 'contexts']) {
      expect(after[list][0]).toEqual(before[list][0]);
      expect(after[list]).toHaveLength(2);
    }
    for (const field of ['preferences', 'extensions', 'current-context']) {
      expect(after[field]).toEqual(before[field]);
    }
    expect(after.clusters[1].cluster['certificate-authority-data']).toBe(btoa(greenhouse.caData));
    expect(after.users[1].user['client-key-data']).toBe(btoa(greenhouse.keyData));
  });

  it('changes not one character the second time', async () => {
    for (const text of ['', others, JSON.stringify(parse(others))]) {
      const once = await merge(text);
      expect((await merge(once.text)).text).toBe(once.text);
    }
  });

  it('renews keys and address, and keeps what the user added to the entry', async () => {
    const first = (await merge(others)).text
      .replace(
        '      cluster: greenhouse\n',
        '      cluster: greenhouse\n      namespace: plants\n',
      )
      .replace(
        'server: https://192.0.2.10:6443',
        'proxy-url: http://p\n      server: https://old:1',
      );
    const renewed = entryOf(authority);
    const config = parse((await merge(first, renewed)).text);
    expect(config.clusters).toHaveLength(2);
    expect(config.clusters[1].cluster).toMatchObject({
      ...{ 'proxy-url': 'http://p', server: renewed.server },
    });
    expect(config.users[1].user['client-key-data']).toBe(btoa(renewed.keyData));
    expect(config.contexts[1].context.namespace).toBe('plants');
  });

  it.each(['clusters: null', 'clusters: []', 'kind: Config'])('fills %s', async (start) => {
    const config = parse((await merge(`${start}\n`)).text);
    expect(config.clusters.map(({ name }: { name: string }) => name)).toEqual(['greenhouse']);
    expect(config['current-context']).toBe('greenhouse');
  });

  it.each([
    ['cluster', "clusters: [{name: greenhouse, cluster: {server: 'https://other'}}]"],
    ['cluster', 'clusters: [{name: greenhouse}]'],
    ['user', 'users: [{name: greenhouse-admin, user: {token: t}}]'],
    ['context', 'contexts: [{name: greenhouse, context: {cluster: work, user: me}}]'],
  ])('refuses to change the %s of another cluster: %s', async (kind, text) => {
    await expect(merge(text)).rejects.toMatchObject({
      message: expect.stringContaining(`it has a ${kind} "`),
      fix: expect.stringContaining('--name'),
    });
  });

  it('tells a cluster that was set up anew from the one before, whatever its name', async () => {
    const { text } = await merge('');
    await expect(merge(text, entryOf(newAuthority()))).rejects.toThrow('of another cluster');
    const both = parse((await merge(text, entryOf(newAuthority(), 'other'))).text);
    expect(both.contexts).toHaveLength(2);
  });

  it.each([
    ['clusters: [', 'line 1'],
    ['just text', 'it is not a mapping'],
    ['- a\n- b', 'it is not a mapping'],
    ['clusters: {a: b}', 'clusters is not a list'],
    ['kind: Pod', 'its kind is "Pod"'],
    ['a: 1\na: 2', 'Map keys must be unique'],
  ])('refuses %j and says what is wrong', async (text, why) => {
    await expect(merge(text)).rejects.toThrow(`Cannot merge into ~/.kube/config: `);
    await expect(merge(text)).rejects.toThrow(why);
  });
});
