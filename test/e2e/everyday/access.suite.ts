import tls from 'node:tls';
import { describe, expect, test } from 'vitest';
import { waitFor } from '../../../src/base/time.ts';
import type { Cluster, KubeJson } from '../../support/e2e/cluster.ts';
import { clusterAuthority, fetchFrom, type OutsideKubectl } from '../../support/e2e/outside.ts';

const SECRET = 'correct-horse-battery-staple';

/** Who gets in, by what, and what is kept secret. */
export function describeAccess(cluster: () => Cluster, outside: () => OutsideKubectl): void {
  const authority = async () => clusterAuthority(await cluster().run(['kubeconfig', 'admin']));

  describe('access', () => {
    test('kubectl is passed through, with its output and its exit code', async () => {
      expect(await cluster().kubectl(['get', 'nodes', '-o', 'name'])).toBe('node/everyday\n');
      const missing = await cluster().mini(['kubectl', 'get', 'pod', 'nobody', '-n', 'default']);
      expect(missing).toMatchObject({ exitCode: 1, stdout: '' });
      expect(missing.stderr).toContain('pods "nobody" not found');
      const help = await cluster().run(['kubectl', 'get', '--help']);
      expect(help).toContain('kubectl get');
      const changes = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'not-there' } };
      const diff = await cluster().mini(['kubectl', 'diff', '-n', 'default', '-f', '-'], {
        input: JSON.stringify(changes),
      });
      expect(diff.exitCode).toBe(1);
      expect(diff.stdout).toContain('+  name: not-there');
    });

    test('KUBECONFIG wins over the own credentials', async () => {
      const env = { KUBECONFIG: '/root/not-there.kubeconfig' };
      const result = await cluster().mini(['kubectl', 'get', 'nodes'], { env });
      expect(result.exitCode).toBe(1);
      expect(result.stderr).not.toContain('everyday');
    });

    test("the administrator's kubeconfig works from another machine", async () => {
      const config = await cluster().run(['kubeconfig', 'admin']);
      expect(config).toContain(`server: "https://${cluster().node.address}:6443"`);
      expect(await outside().run(['get', 'nodes', '-o', 'name'])).toBe('node/everyday\n');
      const allowed = await outside().run(['auth', 'can-i', '*', '*']);
      expect(allowed).toBe('yes\n');
    });

    test('--server puts another address into the kubeconfig', async () => {
      const server = 'https://cluster.example.com:443';
      const config = await cluster().run(['kubeconfig', 'admin', '--server', server]);
      expect(config).toContain(`server: "${server}"`);
    });

    test('whoever has no credentials sees health and nothing else', async () => {
      const ca = await authority();
      const api = `https://${cluster().node.address}:6443`;
      for (const path of ['/livez', '/readyz', '/healthz']) {
        expect(await fetchFrom(`${api}${path}`, { ca }), path).toEqual({ status: 200, body: 'ok' });
      }
      for (const path of ['/', '/version', '/api/v1/namespaces', '/metrics', '/openapi/v2']) {
        expect((await fetchFrom(`${api}${path}`, { ca })).status, path).toBe(401);
      }
    });

    test("the kubelet's serving certificate was asked for in the cluster and approved by us", async () => {
      const requests = await cluster().getJson(['csr']);
      const serving = requests.items.filter(
        ({ spec }: KubeJson) => spec.signerName === 'kubernetes.io/kubelet-serving',
      );
      expect(serving).toHaveLength(1);
      expect(serving[0].spec.username).toBe('system:node:everyday');
      expect(serving[0].status.conditions).toEqual([
        expect.objectContaining({ type: 'Approved', reason: 'NodeServingCertificate' }),
      ]);

      const { address } = cluster().node;
      const certificate = await serverCertificate(address, await authority());
      const issued = Buffer.from(serving[0].status.certificate, 'base64').toString('utf8');
      expect(pemOf(certificate.raw)).toBe(issued.trim());
      expect(certificate.subject.CN).toBe('system:node:everyday');
      expect(certificate.subjectaltname).toContain(`IP Address:${address}`);
    });

    test('the kubelet lets nobody in without credentials', async () => {
      const url = `https://${cluster().node.address}:10250/pods`;
      expect((await fetchFrom(url, { ca: await authority() })).status).toBe(401);
      const readOnly = fetchFrom(`http://${cluster().node.address}:10255/pods`);
      await expect(readOnly).rejects.toThrow('ECONNREFUSED');
    });

    test('what has no business outside of the node does not listen there', async () => {
      const { address } = cluster().node;
      for (const port of [2379, 2380, 2381, 10257, 10259, 10248, 10249]) {
        const answer = fetchFrom(`http://${address}:${port}/`);
        await expect(answer, `port ${port}`).rejects.toThrow('ECONNREFUSED');
      }
    });

    test('a Secret is encrypted in etcd, and the audit log has the deed but not the Secret', async () => {
      const literal = `--from-literal=password=${SECRET}`;
      await cluster().kubectl(['create', 'secret', 'generic', 'vault', '-n', 'default', literal]);
      const stored = await cluster().run(['etcdctl', 'get', '/registry/secrets/default/vault']);
      expect(stored).toContain('k8s:enc:secretbox:v1:');
      expect(stored).not.toContain(SECRET);
      const read = await cluster().getJson(['secret', 'vault', '-n', 'default']);
      expect(Buffer.from(read.data.password, 'base64').toString('utf8')).toBe(SECRET);

      const file = '/var/lib/mini-k8s/audit/audit.log';
      const written = await waitFor(
        async () => {
          const log = await cluster().node.readFile(file);
          const line = log.split('\n').find((text) => isCreationOf(text, 'vault'));
          return line === undefined ? undefined : { log, line };
        },
        { subject: 'the audit log to tell of the Secret', timeoutMs: 40_000, intervalMs: 500 },
      );
      expect(JSON.parse(written.line)).toMatchObject({
        level: 'Metadata',
        user: { username: 'kubernetes-admin' },
      });
      expect(written.log).not.toContain(SECRET);
      expect(written.log).not.toContain(Buffer.from(SECRET).toString('base64'));
      expect(written.log).not.toContain('"requestObject"');
    });

    test('keys are for their owner only', async () => {
      const find = ['find', '/var/lib/mini-k8s/pki', '/var/lib/mini-k8s/etc', '-type', 'f'];
      const keys = await cluster().node.run([...find, '-name', '*.key']);
      expect(keys.trim().split('\n').length).toBeGreaterThan(5);
      const readable = ['(', '-name', '*.key', '-o', '-name', '*.kubeconfig', ')', '-perm', '/077'];
      expect(await cluster().node.run([...find, ...readable])).toBe('');
    });

    test('a pod that is not baseline is warned of', async () => {
      const run = ['kubectl', 'run', 'mighty', '-n', 'default', '--image=none'];
      const dryRun = [...run, '--dry-run=server'];
      const mighty = await cluster().mini([...dryRun, '--privileged']);
      expect(mighty.exitCode).toBe(0);
      expect(mighty.stderr).toContain('Warning: would violate PodSecurity "baseline:latest"');
      expect((await cluster().mini(dryRun)).stderr).toBe('');
    });

    test("ctr and etcdctl work with this node's containers and data", async () => {
      const images = await cluster().run(['ctr', 'images', 'ls', '-q']);
      expect(images).toContain('mini-k8s.io/test/busybox:1');
      expect(images).toMatch(/kube-router:v/);
      const containers = await cluster().run(['ctr', 'tasks', 'ls', '-q']);
      expect(containers.trim().split('\n').length).toBeGreaterThanOrEqual(6);
      const health = JSON.parse(
        await cluster().run(['etcdctl', 'endpoint', 'health', '-w', 'json']),
      );
      expect(health).toEqual([expect.objectContaining({ health: true })]);
      expect((await cluster().mini(['etcdctl', 'get'])).exitCode).not.toBe(0);
    });
  });
}

function isCreationOf(line: string, name: string): boolean {
  if (!line.includes('"verb":"create"')) return false;
  const { objectRef } = JSON.parse(line) as { objectRef?: { resource: string; name?: string } };
  return objectRef?.resource === 'secrets' && objectRef.name === name;
}

/** The certificate with which a kubelet answers; it must be of this authority and for this address. */
function serverCertificate(host: string, ca: string): Promise<tls.PeerCertificate> {
  return new Promise((resolve, reject) => {
    const socket = tls.connect({ host, port: 10250, ca, timeout: 5000 }, () => {
      resolve(socket.getPeerCertificate());
      socket.destroy();
    });
    socket.on('error', reject);
    socket.on('timeout', () => socket.destroy(new Error(`${host}:10250 did not answer in 5 s`)));
  });
}

function pemOf(der: Buffer): string {
  const lines = der.toString('base64').match(/.{1,64}/g) ?? [];
  return ['-----BEGIN CERTIFICATE-----', ...lines, '-----END CERTIFICATE-----'].join('\n');
}
