import { describe, expect, test } from 'vitest';
import { waitFor } from '../../../src/base/time.ts';
import { parseJoinToken } from '../../../src/join/token.ts';
import { nodePaths } from '../../support/e2e/product.ts';
import { createToken } from '../../support/e2e/worker.ts';
import type { JoinScene } from './scene.ts';

const executable = nodePaths.executable;

/** Tokens as an operator makes them, and every way to hand one over. Nothing joins. */
export function describeTokens(scene: () => JoinScene): void {
  describe('tokens', () => {
    test('are made for a role and a time, listed without their secrets, and revoked', async () => {
      const { cluster } = scene();
      const options = ['--ttl', '7d', '--role', 'controller', '--description', 'rack 12'];
      const token = parseJoinToken(await cluster.run(['token', 'create', ...options]));
      const other = parseJoinToken(await createToken(cluster));
      expect(token).toMatchObject({
        role: 'controller',
        servers: [`${cluster.node.address}:9443`],
      });
      const text = await cluster.run(['token', 'list']);
      expect(text).toMatch(new RegExp(`^${token.id} +controller +(7d|6d 23h).* rack 12$`, 'm'));
      expect(text).toMatch(new RegExp(`^${other.id} +worker +(1h|59m)`, 'm'));
      const json = await cluster.run(['token', 'list', '-o', 'json']);
      for (const { secret } of [token, other]) {
        expect(text).not.toContain(secret);
        expect(json).not.toContain(secret);
      }
      expect(await cluster.run(['token', 'revoke', token.id])).toBe(`revoked ${token.id}\n`);
      expect(await cluster.run(['token', 'list'])).not.toContain(token.id);
    });

    test('the plan of a join comes by each way to hand a token over, and nothing is left of it', async () => {
      const { cluster, spare } = scene();
      const text = await createToken(cluster);
      const { id, secret } = parseJoinToken(text);
      await spare.writeFile('/root/token', `${text}\n`, 0o600);
      const before = await filesOf(scene());
      const plans: string[] = [];
      for (const [args, options] of [
        [['--token', text], {}],
        [['--token-file', '/root/token'], {}],
        [['--token', '-'], { input: `${text}\n` }],
        [[], { env: { MINI_K8S_TOKEN: text } }],
      ] as const) {
        const { exitCode, stdout, stderr } = await spare.exec(
          [executable, 'worker', '--dry-run', '--node-name', 'planned', ...args],
          options,
        );
        expect({ exitCode, stderr }).toEqual({ exitCode: 0, stderr: '' });
        expect(stdout).not.toContain(secret);
        expect(stdout).not.toContain(id);
        plans.push(stdout);
      }
      expect(new Set(plans).size).toBe(1);
      expect(JSON.parse(plans[0] ?? '')).toMatchObject({
        role: 'worker',
        nodeName: 'planned',
        processes: expect.arrayContaining([expect.objectContaining({ name: 'kubelet' })]),
      });
      expect(await filesOf(scene())).toEqual(before);
      const records = await cluster.getJson([
        'configmaps',
        '-n',
        'kube-system',
        '-l',
        'mini-k8s.io/join-record',
      ]);
      expect(records.items).toEqual([]);
    });

    test('two ways at once, none, and an empty file are told', async () => {
      const { spare } = scene();
      await spare.writeFile('/root/empty', '\n');
      const worker = (...args: readonly string[]) => spare.exec([executable, 'worker', ...args]);
      for (const [args, error] of [
        [
          ['--token', 'a', '--token-file', 'b'],
          'Cannot read the token: both --token and --token-file are given',
        ],
        [['--token-file', '/root/empty'], 'Cannot read the token: /root/empty is empty'],
        [
          ['--token-file', '/root/none'],
          'Cannot read the token: /root/none: there is no such file',
        ],
        [['--token', '-'], 'Cannot read the token: stdin is empty'],
        [[], 'Cannot start the worker: this machine has not joined a cluster yet'],
        [['--dry-run'], 'Cannot plan a worker: this machine has not joined a cluster yet'],
      ] as const) {
        const { exitCode, stderr } = await worker(...args);
        expect(exitCode).toBe(1);
        expect(stderr).toContain(`error: ${error}`);
        expect(stderr).toMatch(/^fix: /m);
      }
    });

    test('a token on the command line is not there for other users to see', async () => {
      const { spare, closedSite } = scene();
      // Where nobody answers, the worker is busy for seconds with the token in its hands.
      const token = await createToken(scene().cluster, [
        '--server',
        `${closedSite.nextAddress()}:9443`,
      ]);
      const worker = spare.spawn([executable, 'worker', '--token', token]);
      try {
        const commandLines = () =>
          spare.run(['sh', '-c', 'cat /proc/[0-9]*/cmdline | tr "\\0" "\\n"']);
        await waitFor(async () => (await commandLines()).includes('mini-k8s worker'), {
          subject: 'the worker to have its title',
          timeoutMs: 10_000,
          describe: () => worker.output(),
        });
        expect(await commandLines()).not.toContain(parseJoinToken(token).secret);
      } finally {
        worker.kill('SIGTERM');
        // It has its title before it listens for signals: one that comes in between ends it as any program.
        expect([0, 143]).toContain(await worker.exited);
      }
      expect(worker.output()).not.toContain(parseJoinToken(token).secret);
    });
  });
}

/** Everything that a join would leave on the spare machine. */
async function filesOf({ spare }: JoinScene): Promise<string> {
  return spare.run([
    ...[
      'sh',
      '-c',
      'find /var/lib /etc /run /opt -newer /root/token -printf "%p %y\\n"; ls /var/lib',
    ],
  ]);
}
