import { createHash, randomBytes } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { waitFor } from '../../../src/base/time.ts';
import { edgeNamespace } from '../../support/e2e/edge-pods.ts';
import { type EdgeSites, edgeNames } from '../../support/e2e/edge-sites.ts';
import { follow } from '../../support/e2e/follow.ts';

const inNamespace = ['-n', edgeNamespace];

/** kubectl's verbs, which all end at a kubelet; both kubelets have the same address. */
export function describeVerbs(sites: () => EdgeSites): void {
  describe.each(edgeNames)('verbs to %s', (name) => {
    test('logs are read, and followed as they come', async () => {
      const { cluster } = sites();
      expect(await cluster.kubectl(['logs', ...inNamespace, name])).toMatch(
        new RegExp(`^this is ${name}\n(${name} \\d+\n)+$`),
      );
      await using follower = follow(cluster, ['logs', '-f', '--tail=1', ...inNamespace, name]);
      await follower.saysNext(`${name} `);
      await follower.saysNext(`${name} `);
      await follower.saysNext(`${name} `);
      const other = edgeNames.find((candidate) => candidate !== name) ?? '';
      expect(follower.process.output()).not.toContain(other);
    });

    test('exec has input, output, errors and an exit code', async () => {
      const { cluster } = sites();
      const exec = [...inNamespace, name, '--'];
      expect(await cluster.kubectl(['exec', ...exec, 'cat', '/etc/hostname'])).toBe(`${name}\n`);
      const input = randomBytes(512 * 1024);
      const sum = createHash('sha256').update(input).digest('hex');
      const script = 'sha256sum; cat /etc/hostname >&2; exit 42';
      const result = await cluster.mini(['kubectl', 'exec', '-i', ...exec, 'sh', '-c', script], {
        input,
      });
      expect(result).toMatchObject({ exitCode: 42, stdout: `${sum}  -\n` });
      expect(result.stderr).toContain(`${name}\n`);
    });

    test('attach talks to the process that runs, and hears it', async () => {
      const attach = ['kubectl', 'attach', '-q', '-i', ...inNamespace, `${name}-ear`];
      const { stdout } = await sites().cluster.mini(attach, { input: 'one\ntwo\n' });
      expect(stdout).toBe(`${name} heard one\n${name} heard two\n`);
    });

    test('port-forward carries TCP', async () => {
      const { cluster, controller } = sites();
      await using forwarder = follow(cluster, [
        ...['port-forward', ...inNamespace, `pod/${name}`, ':8080'],
      ]);
      const port = await waitFor(
        () => /Forwarding from 127\.0\.0\.1:(\d+) -> 8080/.exec(forwarder.process.output())?.[1],
        { subject: 'port-forward', timeoutMs: 20_000, describe: forwarder.process.output },
      );
      const request = `exec 3<>/dev/tcp/127.0.0.1/${port} && printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3 && cat <&3`;
      for (const _time of [1, 2]) {
        expect(await controller.run(['bash', '-c', request])).toContain(`this is ${name}`);
      }
    });

    test('cp there and back', async () => {
      const { cluster, controller } = sites();
      const content = randomBytes(256 * 1024).toString('hex');
      await controller.writeFile('/root/sent', content);
      await cluster.kubectl(['cp', '/root/sent', `${edgeNamespace}/${name}:/tmp/got`]);
      const got = await cluster.kubectl(['exec', ...inNamespace, name, '--', 'cat', '/tmp/got']);
      expect(got === content).toBe(true);
      await cluster.kubectl(['cp', `${edgeNamespace}/${name}:/tmp/got`, '/root/back']);
      expect((await controller.readFile('/root/back')) === content).toBe(true);
    });

    test('the pod and the service proxy reach it', async () => {
      for (const kind of ['pods', 'services']) {
        const path = `/api/v1/namespaces/${edgeNamespace}/${kind}/${name}:8080/proxy/`;
        expect(await sites().cluster.kubectl(['get', '--raw', path])).toContain(`this is ${name}`);
      }
    });
  });
}
