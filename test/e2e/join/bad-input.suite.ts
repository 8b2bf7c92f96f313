import { afterEach, describe, expect, test } from 'vitest';
import { waitFor } from '../../../src/base/time.ts';
import { parseJoinToken, renderJoinToken } from '../../../src/join/token.ts';
import type { JoinToken } from '../../../src/join/types.ts';
import { pinOf } from '../../../src/join/verify-gateway.ts';
import { nodePaths } from '../../support/e2e/product.ts';
import { createToken } from '../../support/e2e/worker.ts';
import { type Impostor, startImpostor } from '../../support/impostor.ts';
import type { NodeProcess, TestNode } from '../../support/node/types.ts';
import { dayMs, rigAuthority } from '../../support/rig-authority.ts';
import type { JoinScene } from './scene.ts';

const secret = 's3cr3ts3cr3ts3cr';

/** Everything that can be wrong with a token and with what answers. The spare machine stays as it is. */
export function describeBadInput(scene: () => JoinScene): void {
  describe('is refused', () => {
    const servers: Impostor[] = [];
    const impostor = async (...[options, respond]: Parameters<typeof startImpostor>) => {
      const server = await startImpostor({ ...options, address: scene().site.gateway }, respond);
      servers.push(server);
      return server;
    };
    const at = (port: number) => `${scene().site.gateway}:${port}`;

    afterEach(async () => {
      for (const server of servers.splice(0)) await server.stop();
      const find = 'find /var/lib/mini-k8s /var/lib/kubelet /etc/mini-k8s -type f';
      expect((await scene().spare.exec(['sh', '-c', find])).stdout).toBe('');
    });

    /** What the worker says; its log, for the operator, is left out. */
    async function refusal(token: string, ...args: readonly string[]): Promise<string> {
      const { exitCode, stderr } = await scene().spare.exec(
        [nodePaths.executable, 'worker', '--token', '-', ...args],
        { input: token },
      );
      expect(exitCode, stderr).toBe(1);
      for (const text of [secret, secretOf(token)]) expect(stderr).not.toContain(text);
      const said = stderr.replaceAll(/^\d{4}-\d\d-\d\dT\S+Z .*\n/gm, '');
      expect(said).toMatch(/^error: Cannot .*: .*\nfix: .*\n$/s);
      return said;
    }

    test('a token that was revoked, is for a controller, or is unknown', async () => {
      const { cluster } = scene();
      const revoked = await createToken(cluster);
      await cluster.run(['token', 'revoke', parseJoinToken(revoked).id]);
      expect(await refusal(revoked)).toMatch(
        /Cannot join the cluster through \S+:9443: the token \w{6} was revoked at \S+Z\nfix: make another on a controller/,
      );
      const controller = await createToken(cluster, ['--role', 'controller']);
      expect(await refusal(controller)).toMatch(
        /the token \w{6} is for a controller, not for a worker\nfix: .*--role worker/,
      );
      const unknown = renderJoinToken({ ...parseJoinToken(controller), role: 'worker', secret });
      expect(await refusal(unknown)).toMatch(
        /no token \w{6} with this secret exists in this cluster: it is of another cluster, or was deleted/,
      );
    });

    test('a token that has expired', async () => {
      const { cluster } = scene();
      const token = await createToken(cluster);
      const { id } = parseJoinToken(token);
      const expiration = new Date(Date.now() - 60_000).toISOString().replace(/\.\d+Z/, 'Z');
      await cluster.kubectl([
        ...['patch', 'secret', '-n', 'kube-system', `bootstrap-token-${id}`],
        ...['-p', JSON.stringify({ stringData: { expiration } })],
      ]);
      const said = await refusal(token);
      // kube-controller-manager may have taken its Secret away already: its end is remembered as it was made then.
      expect(said).toMatch(
        new RegExp(`the token ${id} expired at ${expiration}|no token ${id} with this secret`),
      );
    });

    test('a token that was cut, mistyped, or is none', async () => {
      const token = await createToken(scene().cluster);
      const [head = '', tail = ''] = token.split('@');
      for (const [text, why] of [
        [head.slice(0, 30), 'it is cut off after its '],
        [token.slice(0, -2), 'it was mistyped or cut off: its check characters do not match'],
        [token.replace('@', '@1'), 'it was mistyped or cut off'],
        [`${head} @${tail}`, 'there is white space within it'],
        [token.replace('mk1', 'mk9'), 'it is of version mk9, and this mini-k8s reads mk1'],
        ['abcdef.0123456789abcdef', 'it does not begin with "mk1."'],
      ] as const) {
        expect(await refusal(text)).toContain(`Cannot use the join token: ${why}`);
      }
    });

    test('somebody in the middle, before anything is sent', async () => {
      const { cluster } = scene();
      const token = parseJoinToken(await createToken(cluster));
      const stranger = rigAuthority();
      const { key, cert } = stranger.gateway();
      const authority = await readAuthority(scene());
      for (const chain of [cert, cert.replace(stranger.pem, authority)]) {
        const server = await impostor({ key, cert: chain });
        const said = await refusal(renderJoinToken({ ...token, servers: [at(server.port)] }));
        expect(said).toContain(
          'somebody answers in its place, or the token is of another cluster; nothing was sent to it',
        );
        expect(server.decrypted()).toHaveLength(0);
        expect(server.received().length).toBeGreaterThan(100);
        for (const text of [token.secret, token.id, 'POST', 'join-spare']) {
          expect(server.received().includes(text)).toBe(false);
        }
      }
    });

    test.each([
      ['behind', -365 * dayMs],
      ['ahead', 365 * dayMs],
    ])(
      'a clock that is a year %s of that of the controller, with both times',
      async (_way, offsetMs) => {
        // The clock of a machine cannot be set without setting all of them: the controller of this one is elsewhere.
        const theirMs = Date.now() - offsetMs;
        const authority = rigAuthority(theirMs);
        const answer = `HTTP/1.1 404 Not Found\r\nDate: ${new Date(theirMs).toUTCString()}\r\nContent-Length: 0\r\n\r\n`;
        const server = await impostor(authority.gateway({}, theirMs), (socket) => {
          socket.once('data', () => socket.end(answer));
        });
        const token: JoinToken = {
          role: 'worker',
          id: 'abc123',
          secret,
          caPin: pinOf(authority.pem),
          servers: [at(server.port)],
        };
        const said = await refusal(renderJoinToken(token));
        expect(said).toContain('the clocks do not agree: that of this machine says ');
        expect(said).toContain(`says ${new Date().toISOString().slice(0, 13)}`);
        expect(said).toContain(
          `that of the controller ${new Date(theirMs).toISOString().slice(0, 16)}`,
        );
        expect(said).toContain('fix: set the clock that is wrong');
        expect(server.decrypted().toString()).not.toContain(secret);
        expect(server.decrypted().toString()).not.toContain('abc123');
      },
    );

    test('what is no gateway: plain HTTP, another TLS server, the API itself', async () => {
      const { cluster } = scene();
      const token = parseJoinToken(await createToken(cluster));
      const plain = await impostor({ says: 'HTTP/1.1 400 Bad Request\r\n\r\n' });
      const to = (server: string) => refusal(renderJoinToken({ ...token, servers: [server] }));
      expect(await to(at(plain.port))).toMatch(
        /what answers there does not speak TLS 1\.3, so it is no gateway of mini-k8s\nfix: check that \S+ leads to the gateway of a controller/,
      );
      expect(plain.received().includes(token.secret)).toBe(false);
      const old = await impostor({
        ...rigAuthority().gateway(),
        minVersion: 'TLSv1.2',
        maxVersion: 'TLSv1.2',
      });
      expect(await to(at(old.port))).toContain('does not speak TLS 1.3');
      expect(await to(`${cluster.node.address}:6443`)).toMatch(
        /of the right cluster answers there, and it is no gateway|without the CA that the token's pin is of/,
      );
    });

    test('an address where nobody answers, each of them named with what to open', async () => {
      const { cluster, site } = scene();
      const token = parseJoinToken(await createToken(cluster));
      const said = await scene().spare.exec([nodePaths.executable, 'worker', '--token', '-'], {
        input: renderJoinToken({
          ...token,
          servers: [`${site.gateway}:9`, 'no-such-name.example:9443'],
        }),
      });
      expect(said.exitCode).toBe(1);
      expect(said.stderr).toMatch(
        new RegExp(
          `Cannot join the cluster through ${site.gateway}:9: ${site.gateway}:9 refuses connections\nfix: open TCP port 9 on ${site.gateway} for this machine`,
        ),
      );
      expect(said.stderr).toMatch(
        /through no-such-name\.example:9443: the name no-such-name\.example cannot be resolved/,
      );
    });

    test('a name, labels and taints that no node can have: every mistake, before anything is sent', async () => {
      const server = await impostor({ says: undefined });
      const token = parseJoinToken(await createToken(scene().cluster));
      const { exitCode, stderr } = await scene().spare.exec(
        [
          ...[nodePaths.executable, 'worker', '--token', '-', '--node-name', 'Edge-1'],
          ...['--labels', 'rack,size=not good', '--taints', 'slow'],
        ],
        { input: renderJoinToken({ ...token, servers: [at(server.port)] }) },
      );
      expect({ exitCode, stderr }).toEqual({
        exitCode: 1,
        stderr: `error: Cannot name this node: "Edge-1" is not a node name: lower-case letters, digits, "-" and ".", beginning and ending with a letter or digit
fix: --node-name edge-1
error: Cannot use --labels: "rack" is not key=value
fix: write them as --labels example.com/rack=r1,size=small
error: Cannot use --labels: "size=not good" is not a label value
fix: write them as --labels example.com/rack=r1,size=small
error: Cannot use --taints: "slow" is not a taint such as key=value:NoSchedule
fix: write them as --taints example.com/dedicated=edge:NoSchedule,slow:PreferNoSchedule
`,
      });
      expect(server.received()).toHaveLength(0);
    });

    test('a machine whose ports are taken: the process is named, and nothing is half-joined', async () => {
      const { spare, cluster } = scene();
      const listen = (port: number) =>
        `socket(my $s${port}, 2, 1, 0); bind($s${port}, pack("S n x12", 2, ${port})) or die $!; listen($s${port}, 1);`;
      const script = `$0 = "squatter"; ${[6443, 10_250, 10_256].map(listen).join(' ')} $| = 1; print "listening\\n"; sleep 60`;
      const squatter = spare.spawn(['perl', '-e', script]);
      try {
        const pid = await squatterPid(spare, squatter);
        const said = await spare.exec([nodePaths.executable, 'worker', '--token', '-'], {
          input: await createToken(cluster),
        });
        expect(said.exitCode).toBe(1);
        for (const [component, port] of [
          ['the local API endpoint', 6443],
          ['kubelet', 10_250],
          ['kube-proxy', 10_256],
        ]) {
          expect(said.stderr).toContain(
            `error: Cannot start ${component}: port ${port} is in use by pid ${pid} (squatter)\nfix: stop that process`,
          );
        }
      } finally {
        squatter.kill('SIGKILL');
        await squatter.exited;
      }
    });
  });
}

async function squatterPid(spare: TestNode, squatter: NodeProcess): Promise<string> {
  await waitFor(() => squatter.output().includes('listening'), {
    subject: 'the ports to be taken',
    timeoutMs: 10_000,
    describe: () => squatter.output(),
  });
  return (await spare.run(['pgrep', '-x', 'squatter'])).trim();
}

function readAuthority({ cluster }: JoinScene): Promise<string> {
  return cluster.node.readFile('/var/lib/mini-k8s/pki/ca.crt');
}

/** The part that nobody may see; a text that is no token has none. */
function secretOf(token: string): string {
  return token.split('.')[3] ?? 'no secret';
}
