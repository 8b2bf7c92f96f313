import { beforeAll, describe, expect, test } from 'vitest';
import { waitFor } from '../../../src/base/time.ts';
import type { Cluster, KubeJson } from '../../support/e2e/cluster.ts';
import { startPods, testPod, webPod } from '../../support/e2e/objects.ts';
import { fetchFrom, type OutsideKubectl } from '../../support/e2e/outside.ts';
import type { CommandResult } from '../../support/node/types.ts';

const NAMESPACE = 'network';

/** nslookup and nc: Debian's static busybox crashes when wget asks glibc for a port or a name. */
const FETCH = `
host=$1; port=$2
case $host in
  *[a-z]*) address=$(nslookup "$host.${NAMESPACE}.svc.cluster.local" | sed -n 's/^Address: //p') ;;
  *) address=$host ;;
esac
[ -n "$address" ] || { echo "no address of $host" >&2; exit 3; }
printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 2 "$address" "$port"`;

/** Pods, Services, names and policies. */
export function describeNetwork(cluster: () => Cluster, kubectl: () => OutsideKubectl): void {
  const exec = (pod: string, command: readonly string[]) =>
    kubectl().exec(['exec', '-n', NAMESPACE, pod, '--', ...command]);
  const serviceSpec = async (name: string): Promise<KubeJson> =>
    JSON.parse(await kubectl().run(['get', 'service', name, '-n', NAMESPACE, '-o', 'json'])).spec;
  const get = (pod: string, host: string) => exec(pod, ['sh', '-c', FETCH, 'fetch', host, '80']);

  describe('network', () => {
    beforeAll(async () => {
      await startPods({ kubectl: kubectl().run }, NAMESPACE, [
        webPod({ name: 'web', namespace: NAMESPACE, text: 'hello from web' }),
        testPod({ name: 'friend', namespace: NAMESPACE }),
        testPod({ name: 'stranger', namespace: NAMESPACE }),
        service('web', 'ClusterIP'),
        service('web-outside', 'NodePort'),
      ]);
    });

    test('a pod resolves Services by their names', async () => {
      const full = await exec('friend', ['nslookup', 'kubernetes.default.svc.cluster.local']);
      expect(full.stdout).toMatch(/^Server:\s+10\.96\.0\.10$/m);
      expect(full.stdout).toMatch(/^Address: 10\.96\.0\.1$/m);
      const unknown = await exec('friend', ['nslookup', 'nobody.default.svc.cluster.local']);
      expect(unknown.exitCode).not.toBe(0);
      expect(unknown.stdout).toContain('NXDOMAIN');
    });

    test('a ClusterIP Service is reached by name and by address', async () => {
      await isReachable(get, 'friend', 'web');
      const { clusterIP } = await serviceSpec('web');
      expect((await get('friend', clusterIP)).stdout).toContain('hello from web');
      // The node itself uses Services too: webhooks, and people.
      const onNode = await cluster().node.run(['bash', '-c', readHttp(clusterIP, 80)]);
      expect(onNode).toContain('hello from web');
    });

    test('a NodePort is reached from another machine', async () => {
      const { ports } = await serviceSpec('web-outside');
      const url = `http://${cluster().node.address}:${ports[0].nodePort}/`;
      const answer = await waitFor(() => fetchFrom(url).catch(() => undefined), {
        subject: `an answer of ${url}`,
        timeoutMs: 20_000,
      });
      expect(answer).toEqual({ status: 200, body: 'hello from web\n' });
    });

    test('a NetworkPolicy blocks strangers, lets friends in, and is gone when it is removed', async () => {
      await isReachable(get, 'stranger', 'web');
      await kubectl().run(['apply', '-f', '-'], { input: JSON.stringify(friendsOnly()) });
      await waitFor(async () => isBlocked(await get('stranger', 'web')), {
        subject: 'the stranger to be blocked',
        timeoutMs: 30_000,
      });
      // Blocked it stays, and only who is meant: the friend's request comes after and before refused ones.
      expect((await get('friend', 'web')).stdout).toContain('hello from web');
      expect(await get('stranger', 'web')).toSatisfy(isBlocked);
      await kubectl().run(['delete', 'networkpolicy', 'friends-only', '-n', NAMESPACE]);
      await isReachable(get, 'stranger', 'web');
    });
  });
}

/** No connection; a crash or a name that is not found would be something else. */
function isBlocked(result: CommandResult): boolean {
  return result.exitCode === 1 && /nc: .*(timed out|refused|unreachable)/.test(result.stderr);
}

async function isReachable(
  get: (pod: string, host: string) => Promise<{ readonly stdout: string; readonly stderr: string }>,
  pod: string,
  host: string,
): Promise<void> {
  let last = '';
  await waitFor(
    async () => {
      const { stdout, stderr } = await get(pod, host);
      last = stdout + stderr;
      return stdout.endsWith('hello from web\n');
    },
    { subject: `${pod} to reach ${host}`, timeoutMs: 30_000, describe: () => last },
  );
}

/** bash's own TCP: a node need not have a web client. */
function readHttp(address: string, port: number): string {
  return `exec 3<>/dev/tcp/${address}/${port}; printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3; timeout 5 cat <&3`;
}

function service(name: string, type: 'ClusterIP' | 'NodePort') {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace: NAMESPACE },
    spec: { type, selector: { app: 'web' }, ports: [{ port: 80, targetPort: 8080 }] },
  };
}

function friendsOnly() {
  return {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'NetworkPolicy',
    metadata: { name: 'friends-only', namespace: NAMESPACE },
    spec: {
      podSelector: { matchLabels: { app: 'web' } },
      policyTypes: ['Ingress'],
      ingress: [{ from: [{ podSelector: { matchLabels: { app: 'friend' } } }] }],
    },
  };
}
