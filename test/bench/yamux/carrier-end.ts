// One end of the measured session, in a process of its own; see carrier.ts.
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Duplex } from 'node:stream';
import { connect as connectTls, createServer as createTlsServer, type TLSSocket } from 'node:tls';
import { createYamuxSession } from '../../../src/tunnel/yamux/session.ts';

const [role, first, second] = process.argv.slice(2);
if (role === 'controller') await runController(first ?? '');
else await runAgent(Number(first), Number(second));

function join(left: Duplex, right: Duplex): void {
  for (const stream of [left, right]) stream.on('error', () => {});
  left.once('close', () => right.destroy());
  right.once('close', () => left.destroy());
  left.pipe(right);
  right.pipe(left);
}

async function runController(socketPath: string): Promise<void> {
  const server = createTlsServer({ ...selfSigned(), minVersion: 'TLSv1.3', noDelay: true });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const connected = once(server, 'secureConnection') as Promise<[TLSSocket]>;
  const session = connected.then(([transport]) =>
    createYamuxSession({ role: 'server', transport }),
  );
  const clients = createServer({ allowHalfOpen: true }, (client) => {
    void session.then((open) => join(client, open.openStream()));
  });
  clients.listen(socketPath);
  await once(clients, 'listening');
  const address = server.address();
  if (address !== null && typeof address !== 'string') process.send?.(address.port);
  await session;
}

async function runAgent(port: number, targetPort: number): Promise<void> {
  const transport = connectTls({ host: '127.0.0.1', port, rejectUnauthorized: false });
  transport.setNoDelay(true);
  await once(transport, 'secureConnect');
  createYamuxSession({
    role: 'client',
    transport,
    onStream: (stream) => {
      const host = '127.0.0.1';
      join(stream, connect({ host, port: targetPort, noDelay: true, allowHalfOpen: true }));
    },
  });
  process.send?.('ready');
}

function selfSigned(): { cert: string; key: string } {
  const directory = mkdtempSync(path.join(tmpdir(), 'mini-k8s-carrier-'));
  const file = (name: string) => path.join(directory, name);
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
  const out = ['-keyout', file('key'), '-out', file('cert'), '-subj', '/CN=bench'];
  execFileSync('openssl', ['req', '-x509', ...curve, ...out], { stdio: 'ignore' });
  const files = {
    cert: readFileSync(file('cert'), 'utf8'),
    key: readFileSync(file('key'), 'utf8'),
  };
  rmSync(directory, { recursive: true });
  return files;
}
