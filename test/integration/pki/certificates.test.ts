import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { connect, createServer, type TLSSocket } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../../src/base/time.ts';
import { spkiPin } from '../../../src/pki/certificate-reader.ts';
import { ensurePki } from '../../../src/pki/ensure-pki.ts';
import { openssl, opensslText } from './openssl.ts';
import { planIn, temporaryDirectory } from './plan.ts';

let directory: Awaited<ReturnType<typeof temporaryDirectory>>;
const at = (name: string) => path.join(directory.path, name);

beforeAll(async () => {
  directory = await temporaryDirectory();
  await ensurePki(planIn(directory.path), { clock: systemClock, onEvent: () => {} });
});
afterAll(() => directory[Symbol.asyncDispose]());

describe('openssl', () => {
  const verify = (ca: string, leaf: string, purpose: string) =>
    openssl(['verify', '-x509_strict', '-purpose', purpose, '-CAfile', at(ca), at(leaf)]);

  it.each([
    ['ca.crt', 'ca.crt', 'any'],
    ['ca.crt', 'kube-apiserver.crt', 'sslserver'],
    ['ca.crt', 'admin.crt', 'sslclient'],
    ['etcd/ca.crt', 'etcd/server.crt', 'sslserver'],
  ])('accepts by %s: %s as %s', (ca, leaf, purpose) => {
    expect(verify(ca, leaf, purpose)).toMatchObject({ status: 0 });
  });

  it.each([
    ['ca.crt', 'kube-apiserver.crt', 'sslclient'],
    ['ca.crt', 'admin.crt', 'sslserver'],
    ['etcd/ca.crt', 'admin.crt', 'sslclient'],
    ['ca.crt', 'etcd/server.crt', 'sslserver'],
  ])('refuses by %s: %s as %s', (ca, leaf, purpose) => {
    expect(verify(ca, leaf, purpose).status).not.toBe(0);
  });

  it('sees exactly the extensions of an authority', () => {
    const text = opensslText(['x509', '-in', at('ca.crt'), '-noout', '-text']);
    expect(extensionsIn(text)).toEqual([
      'X509v3 Basic Constraints: critical CA:TRUE',
      'X509v3 Key Usage: critical Digital Signature, Certificate Sign, CRL Sign',
      expect.stringMatching(/^X509v3 Subject Key Identifier: [0-9A-F:]{59}$/),
    ]);
    expect(text).toContain('Version: 3 (0x2)');
    expect(text).toContain('NIST CURVE: P-256');
  });

  it('sees exactly the extensions of a leaf', () => {
    const text = opensslText(['x509', '-in', at('kube-apiserver.crt'), '-noout', '-text']);
    expect(extensionsIn(text)).toEqual([
      'X509v3 Basic Constraints: critical CA:FALSE',
      'X509v3 Key Usage: critical Digital Signature',
      'X509v3 Extended Key Usage: TLS Web Server Authentication',
      expect.stringMatching(/^X509v3 Subject Key Identifier: [0-9A-F:]{59}$/),
      expect.stringMatching(/^X509v3 Authority Key Identifier: [0-9A-F:]{59}$/),
      'X509v3 Subject Alternative Name: DNS:kubernetes, DNS:localhost, ' +
        'IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1, IP Address:10.96.0.1',
    ]);
    expect(opensslText(['x509', '-in', at('admin.crt'), '-noout', '-subject'])).toBe(
      'subject=O = system:masters, CN = kubernetes-admin\n',
    );
  });

  it('computes the same pin', async () => {
    const key = opensslText(['x509', '-in', at('ca.crt'), '-noout', '-pubkey']);
    const der = openssl(['pkey', '-pubin', '-outform', 'DER', '-out', at('spki.der')], key);
    expect(der.status).toBe(0);
    const digest = opensslText(['dgst', '-sha256', '-r', at('spki.der')]).split(' ')[0];
    expect(spkiPin(await readFile(at('ca.crt'), 'utf8'))).toBe(digest);
  });

  it('reads the keys', () => {
    for (const name of ['ca.key', 'admin.key', 'sa.key']) {
      expect(opensslText(['pkey', '-in', at(name), '-noout', '-check'])).toContain('Key is valid');
    }
    const derived = opensslText(['pkey', '-in', at('sa.key'), '-pubout']);
    expect(opensslText(['pkey', '-pubin', '-in', at('sa.pub')])).toBe(derived);
  });
});

describe('TLS', () => {
  it('serves and authenticates with the two usages', async () => {
    const outcome = await handshake({ server: 'kube-apiserver', client: 'admin' });
    expect(outcome).toEqual({ peer: 'kubernetes-admin', server: 'kube-apiserver' });
  });

  it.each(['127.0.0.1', '::1', '10.96.0.1', 'kubernetes', 'localhost'])(
    'finds the name %s in the server certificate',
    async (name) => {
      const outcome = await handshake({ server: 'kube-apiserver', client: 'admin', name });
      expect(outcome).toHaveProperty('server', 'kube-apiserver');
    },
  );

  it.each([
    ['a client certificate as the server', { server: 'admin', client: 'admin' }, 'INVALID_PURPOSE'],
    [
      'a server certificate as the client',
      { server: 'kube-apiserver', client: 'kube-apiserver' },
      'INVALID_PURPOSE',
    ],
    [
      'a server of another authority',
      { server: 'etcd/server', client: 'admin' },
      'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
    ],
    [
      'a server by another name',
      { server: 'kube-apiserver', client: 'admin', name: 'example.org' },
      'ERR_TLS_CERT_ALTNAME_INVALID',
    ],
  ])('refuses %s', async (_what, parties, code) => {
    expect(await handshake(parties)).toEqual({ refused: code });
  });
});

interface Parties {
  readonly server: string;
  readonly client: string;
  readonly name?: string;
}

/** A mutual TLS 1.3 handshake over loopback; both sides trust `ca.crt` alone. */
async function handshake(parties: Parties): Promise<Record<string, unknown>> {
  const load = async (name: string) => ({
    cert: await readFile(at(`${name}.crt`)),
    key: await readFile(at(`${name}.key`)),
    ca: await readFile(at('ca.crt')),
  });
  const server = createServer({
    ...(await load(parties.server)),
    requestCert: true,
    rejectUnauthorized: false,
    minVersion: 'TLSv1.3',
  });
  server.on('tlsClientError', () => {});
  const accepted = once(server, 'secureConnection') as Promise<[TLSSocket]>;
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const name = parties.name ?? 'localhost';
  const { checkServerIdentity } = await import('node:tls');
  const client = connect({
    ...(await load(parties.client)),
    host: '127.0.0.1',
    port,
    checkServerIdentity: (_host, certificate) => checkServerIdentity(name, certificate),
  });
  try {
    await once(client, 'secureConnect');
    const [connection] = await accepted;
    connection.on('error', () => {});
    if (connection.authorizationError) return { refused: String(connection.authorizationError) };
    return {
      peer: connection.getPeerCertificate().subject.CN,
      server: client.getPeerCertificate().subject.CN,
    };
  } catch (error) {
    return { refused: (error as NodeJS.ErrnoException).code };
  } finally {
    client.destroy();
    server.close();
  }
}

/** `name: [critical] value` of each extension in the output of `openssl x509 -text`. */
function extensionsIn(text: string): string[] {
  const section = text.split('X509v3 extensions:\n')[1]?.split('Signature Algorithm')[0] ?? '';
  return section
    .split(/\n {12}(?=X509v3)/)
    .map((entry) => entry.replaceAll(/\s+/g, ' ').replace(' : ', ': ').trim());
}
