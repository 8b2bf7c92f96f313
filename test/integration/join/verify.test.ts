import { afterEach, describe, expect, it } from 'vitest';
import { type UserError, UserErrors } from '../../../src/base/errors.ts';
import { GatewayError } from '../../../src/join/gateway-error.ts';
import { joinCluster } from '../../../src/join/join-client.ts';
import type { JoinToken } from '../../../src/join/types.ts';
import { freePorts } from '../../support/free-ports.ts';
import { type Impostor, startImpostor } from '../../support/impostor.ts';
import { dayMs, rigAuthority, startGateway } from '../gateway/rig.ts';
import { clientOptions, documentOf, machine, signal, tokenOf } from './rig.ts';

const secret = 's3cr3ts3cr3ts3cr';
const credentials = { id: 'abc123', secret };
const cleanUps: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

async function impostor(...options: Parameters<typeof startImpostor>): Promise<Impostor> {
  const started = await startImpostor(...options);
  cleanUps.push(started.stop);
  return started;
}

/** The errors of a join that must fail; none of them may tell the secret. */
async function errorsOf(token: JoinToken, options = clientOptions): Promise<GatewayError[]> {
  try {
    await joinCluster(token, machine, options, signal);
  } catch (error) {
    const errors = error instanceof UserErrors ? error.errors : [error];
    for (const one of errors) {
      expect(one).toBeInstanceOf(GatewayError);
      const { message, fix, stack } = one as UserError;
      expect([message, fix, stack, JSON.stringify(one)].join('\n')).not.toContain(secret);
      expect(fix).toBeTruthy();
    }
    return errors as GatewayError[];
  }
  throw new Error('it joined');
}

async function errorOf(token: JoinToken, options = clientOptions): Promise<GatewayError> {
  const errors = await errorsOf(token, options);
  expect(errors).toHaveLength(1);
  return errors[0] as GatewayError;
}

/** Nothing but a handshake came: no byte through TLS, and neither secret nor node name in the clear. */
function expectNothingSent(server: Impostor): void {
  expect(server.decrypted().length).toBe(0);
  const bytes = server.received();
  expect(bytes.length).toBeGreaterThan(100);
  // The first record is a handshake message, and the first of these a ClientHello.
  expect([bytes[0], bytes[5]]).toEqual([22, 1]);
  for (const text of [secret, 'abc123', machine.machineId, machine.nodeName, 'POST', 'Bearer']) {
    expect(bytes.includes(text)).toBe(false);
  }
}

describe('somebody in the place of the gateway gets nothing but a handshake', () => {
  const authority = rigAuthority();
  const stranger = rigAuthority();

  it('with a certificate of another cluster', async () => {
    const server = await impostor(stranger.gateway());
    const error = await errorOf(tokenOf(authority, credentials, [server.port]));
    expect(error.failure).toBe('pin-mismatch');
    expect(error.message).toContain(
      'somebody answers in its place, or the token is of another cluster; nothing was sent to it',
    );
    expectNothingSent(server);
  });

  it("with its own certificate and the cluster's CA beside it", async () => {
    const { key, cert } = stranger.gateway();
    const leafOnly = cert.replace(stranger.pem, '');
    const server = await impostor({ key, cert: leafOnly + authority.pem });
    const error = await errorOf(tokenOf(authority, credentials, [server.port]));
    expect(error.failure).toBe('pin-mismatch');
    expectNothingSent(server);
  });

  it('with a CA of the same name and another key', async () => {
    const server = await impostor(rigAuthority().gateway());
    expect((await errorOf(tokenOf(authority, credentials, [server.port]))).failure).toBe(
      'pin-mismatch',
    );
    expectNothingSent(server);
  });

  it("with the cluster's certificate of something else", async () => {
    for (const subject of [
      {
        commonName: 'kube-apiserver',
        dnsNames: ['kubernetes.default.svc'],
        ipAddresses: ['127.0.0.1'],
      },
      { commonName: 'system:node:evil', organizations: ['system:nodes'], dnsNames: ['evil'] },
    ]) {
      const server = await impostor(authority.gateway(subject));
      const error = await errorOf(tokenOf(authority, credentials, [server.port]));
      expect(error.failure).toBe('not-a-gateway');
      expect(error.message).toContain(`"${subject.commonName}" of the right cluster answers there`);
      expectNothingSent(server);
    }
  });

  it("with the gateway's name in a client certificate", async () => {
    const server = await impostor(authority.gateway({ usage: 'client' }));
    expect((await errorOf(tokenOf(authority, credentials, [server.port]))).failure).toBe(
      'not-a-gateway',
    );
    expectNothingSent(server);
  });

  it('without the CA in its chain', async () => {
    const { key, cert } = authority.gateway();
    const server = await impostor({ key, cert: cert.replace(authority.pem, '') });
    expect((await errorOf(tokenOf(authority, credentials, [server.port]))).failure).toBe(
      'pin-mismatch',
    );
    expectNothingSent(server);
  });

  it('that asks for a client certificate', async () => {
    const server = await impostor({
      ...stranger.gateway(),
      requestCert: true,
      rejectUnauthorized: false,
    });
    await errorOf(tokenOf(authority, credentials, [server.port]));
    expectNothingSent(server);
  });

  it('that speaks first', async () => {
    const hello = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}';
    const server = await impostor(stranger.gateway(), (socket) => socket.write(hello));
    await errorOf(tokenOf(authority, credentials, [server.port]));
    expectNothingSent(server);
  });

  it.each([
    ['text', 'SSH-2.0-OpenSSH_9.6\r\n', /does not speak TLS 1\.3/],
    ['an HTTP answer', 'HTTP/1.1 400 Bad Request\r\n\r\n', /does not speak TLS 1\.3/],
    ['nothing before it closes', '', /handshake failed/],
  ])('that says %s', async (_what, says, why) => {
    const server = await impostor({ says });
    const error = await errorOf(tokenOf(authority, credentials, [server.port]));
    expect(error.failure).toBe('not-a-gateway');
    expect(error.message).toMatch(why);
    expect(error.fix).toContain(`127.0.0.1:${server.port}`);
    expectNothingSent(server);
  });

  it('that says nothing at all', async () => {
    const server = await impostor({ says: undefined });
    const token = tokenOf(authority, credentials, [server.port]);
    const error = await errorOf(token, { ...clientOptions, handshakeTimeoutMs: 300 });
    expect(error.message).toContain('nothing came within 0.3 s');
    expectNothingSent(server);
  });

  it('that speaks TLS 1.2 only', async () => {
    const server = await impostor({
      ...authority.gateway(),
      minVersion: 'TLSv1.2',
      maxVersion: 'TLSv1.2',
    });
    const error = await errorOf(tokenOf(authority, credentials, [server.port]));
    expect(error.message).toContain('does not speak TLS 1.3');
  });
});

describe('a gateway that cannot be reached', () => {
  it('is named, with the port to open', async () => {
    const [port = 0] = await freePorts(1);
    const error = await errorOf(tokenOf(rigAuthority(), credentials, [port]));
    expect(error.failure).toBe('unreachable');
    expect(error.message).toBe(
      `Cannot join the cluster through 127.0.0.1:${port}: 127.0.0.1:${port} refuses connections`,
    );
    expect(error.fix).toContain(`open TCP port ${port} on 127.0.0.1`);
  });

  it('does not keep the machine from the next one; with none left all are named', async () => {
    const authority = rigAuthority();
    const stranger = await impostor(rigAuthority().gateway());
    const mute = await impostor({ says: '' });
    const token = tokenOf(authority, credentials, [1, stranger.port, mute.port]);
    expect((await errorsOf(token)).map(({ failure }) => failure)).toEqual([
      'unreachable',
      'pin-mismatch',
      'not-a-gateway',
    ]);
    const rig = await startGateway({
      authority,
      routes: [
        {
          prefix: '/join/v1/',
          handle: (_request, response) => {
            response.end(
              JSON.stringify(documentOf(authority, { name: 'main', isBehindNat: false })),
            );
          },
        },
      ],
    });
    cleanUps.push(rig.stop);
    const good = { ...token, servers: [...token.servers, `127.0.0.1:${rig.port}`] };
    const { server } = await joinCluster(good, machine, clientOptions, signal);
    expect(server).toBe(`127.0.0.1:${rig.port}`);
  });

  it('is given up when the caller says so', async () => {
    const server = await impostor({ says: undefined });
    const abort = new AbortController();
    const joining = joinCluster(
      tokenOf(rigAuthority(), credentials, [server.port]),
      machine,
      clientOptions,
      abort.signal,
    );
    abort.abort(new Error('enough'));
    await expect(joining).rejects.toThrow('enough');
  });
});

describe('a clock that is wrong', () => {
  it.each([
    ['behind', -365 * dayMs],
    ['ahead', 4 * 365 * dayMs],
  ])('by years %s is told with both times, and the token stays here', async (_way, offsetMs) => {
    const requests: string[] = [];
    const rig = await startGateway({
      routes: [
        {
          prefix: '/join/v1/',
          handle: (request, response) => {
            requests.push(`${request.method} ${request.url} ${request.headers.authorization}`);
            response.writeHead(404).end();
          },
        },
      ],
    });
    cleanUps.push(rig.stop);
    const startedAt = Date.now();
    const hereMs = startedAt + offsetMs;
    const token = tokenOf(rig.authority, credentials, [rig.port]);
    const error = await errorOf(token, { ...clientOptions, clock: { now: () => hereMs } });
    expect(error.failure).toBe('clock');
    expect(error.message).toContain('the clocks do not agree');
    expect(error.message).toContain(
      `this machine says ${new Date(hereMs).toISOString().slice(0, 16)}`,
    );
    const hours = [startedAt, Date.now()].map((ms) => new Date(ms).toISOString().slice(0, 13));
    expect(error.message).toMatch(new RegExp(`of the controller (${hours.join('|')})`));
    expect(error.message).not.toContain('handshake');
    expect(requests).toEqual(['GET /join/v1/ undefined']);
  });

  it('is not blamed when the certificate of the gateway has expired', async () => {
    const authority = rigAuthority(Date.now() - 100 * dayMs);
    const pair = authority.gateway({}, Date.now() - 10 * dayMs);
    const rig = await startGateway({ authority, pair });
    cleanUps.push(rig.stop);
    const error = await errorOf(tokenOf(authority, credentials, [rig.port]));
    expect(error.failure).toBe('certificate');
    expect(error.message).toMatch(
      /"mini-k8s-gateway" is valid from .* until .*, and it is .* here and there/,
    );
    expect(error.fix).toContain('controller');
  });
});

describe('a gateway of the right cluster with a wrong answer', () => {
  async function answering(body: string, status = 200) {
    const rig = await startGateway({
      routes: [
        { prefix: '/', handle: (_request, response) => void response.writeHead(status).end(body) },
      ],
    });
    cleanUps.push(rig.stop);
    return errorOf(tokenOf(rig.authority, credentials, [rig.port]));
  }

  it.each([
    ['', 200, 'its join document cannot be used'],
    ['{"version":2}', 200, 'of version 2, and this mini-k8s reads version 1'],
    ['not found', 404, 'HTTP status 404 and no reason'],
    ['{"reason":"X"}', 500, 'HTTP status 500 and no reason'],
  ])('%j with %i', async (body, status, why) => {
    expect((await answering(body, status)).message).toContain(why);
  });

  it('that has control characters in it does not reach the terminal', async () => {
    const said = { reason: 'TokenExpired', message: 'a\u001b[2Jb\nc', fix: 'd\u0007' };
    const error = await answering(JSON.stringify(said), 401);
    expect([error.why, error.fix, error.failure]).toEqual(['a [2Jb c', 'd ', 'refused']);
  });

  it('that never ends', async () => {
    const rig = await startGateway({
      routes: [{ prefix: '/', handle: (_request, response) => void response.write('{') }],
    });
    cleanUps.push(rig.stop);
    const token = tokenOf(rig.authority, credentials, [rig.port]);
    const error = await errorOf(token, { ...clientOptions, answerTimeoutMs: 300 });
    expect(error.message).toContain('it gave no answer: nothing came within 0.3 s');
  });

  it('with the CA of another cluster in its document', async () => {
    const stranger = documentOf(rigAuthority(), { name: 'main', isBehindNat: false });
    expect((await answering(JSON.stringify(stranger))).message).toContain(
      'ca is not that of the connection',
    );
  });
});
