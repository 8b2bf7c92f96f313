import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { rmSync } from 'node:fs';
import { mkdir, mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { waitFor } from '../../src/base/time.ts';
import { createKubeClient } from '../../src/kube-client/client.ts';
import type { KubeClient } from '../../src/kube-client/types.ts';
import { componentBinary } from './components.ts';
import { freePorts } from './free-ports.ts';

const run = promisify(execFile);

/** A client certificate for the test control plane, as file paths. */
export interface ClientFiles {
  readonly certFile: string;
  readonly keyFile: string;
}

/** A real etcd and kube-apiserver on loopback. One per test file; `stop()` in afterAll. */
export interface TestControlPlane {
  /** `https://127.0.0.1:<port>`; the port stays the same when the API server restarts. */
  readonly server: string;
  /** One CA for the server and for clients; the key signs further certificates. */
  readonly caFile: string;
  readonly caKeyFile: string;
  /** `system:masters`. */
  readonly admin: ClientFiles;
  /** A bearer token of `system:masters` too, for clients without certificates. */
  readonly adminToken: string;
  /** A kubeconfig of the admin, for kubectl and kube-controller-manager. */
  readonly kubeconfig: string;
  /** Signs kube-apiserver's service account tokens; kube-controller-manager wants it. */
  readonly serviceAccountKeyFile: string;
  /** Scratch directory, removed by `stop()`. */
  readonly directory: string;
  readonly etcdUrl: string;
  /** Process id of the running kube-apiserver. */
  apiServerPid(): number | undefined;
  /** A client certificate signed by the CA, such as `('system:node:a', ['system:nodes'])`. */
  clientCertificate(user: string, groups: readonly string[]): Promise<ClientFiles>;
  /** A client of the API, the administrator's unless it shows something else; `stop()` closes it. */
  connect(credentials?: ClientFiles | { readonly token: string }): KubeClient;
  stopApiServer(): Promise<void>;
  /** Starts it again on the same port and waits for /readyz. */
  startApiServer(): Promise<void>;
  stop(): Promise<void>;
}

export interface ControlPlaneOptions {
  /** Added to kube-apiserver's flags. */
  readonly apiServerFlags?: readonly string[];
}

/**
 * Starts etcd and kube-apiserver from `componentBinary()` with certificates made by openssl and waits for `/readyz`.
 * @throws Error with the last lines of the log when one does not become ready in three minutes.
 */
export async function startControlPlane(
  options: ControlPlaneOptions = {},
): Promise<TestControlPlane> {
  const directory = await mkdtemp(path.join(tmpdir(), 'mini-k8s-control-plane-'));
  const children = new Set<ChildProcess>();
  const clients: KubeClient[] = [];
  const removeAtExit = () => {
    for (const child of children) child.kill('SIGKILL');
    rmSync(directory, { recursive: true, force: true });
  };
  process.once('exit', removeAtExit);
  const stop = async () => {
    for (const client of clients) client.close();
    for (const child of [...children].reverse()) await end(child, children);
    process.removeListener('exit', removeAtExit);
    await rm(directory, { recursive: true, force: true });
  };
  try {
    return await startIn(directory, { ...options, children, clients, stop });
  } catch (error) {
    await stop();
    throw error;
  }
}

interface StartContext extends ControlPlaneOptions {
  readonly children: Set<ChildProcess>;
  readonly clients: KubeClient[];
  readonly stop: () => Promise<void>;
}

async function startIn(directory: string, context: StartContext): Promise<TestControlPlane> {
  const file = (name: string) => path.join(directory, name);
  const clientCertificate = async (user: string, groups: readonly string[]) => {
    const name = `client-${user.replaceAll(/[^a-z0-9]+/gi, '-')}`;
    const subject = `${groups.map((group) => `/O=${group}`).join('')}/CN=${user}`;
    return issue(directory, { name, subject, extensions: 'extendedKeyUsage=clientAuth' });
  };
  await makeAuthority(directory);
  const admin = await clientCertificate('admin', ['system:masters']);
  const serving = await issue(directory, {
    name: 'serving',
    subject: '/CN=kube-apiserver',
    extensions:
      'extendedKeyUsage=serverAuth\nsubjectAltName=IP:127.0.0.1,DNS:localhost,DNS:kubernetes',
  });
  await run('openssl', ['genrsa', '-out', file('service-account.key'), '2048']);
  const adminToken = 'test-admin-token';
  await writeFile(file('tokens.csv'), `${adminToken},token-admin,1,"system:masters"\n`);
  // etcd takes seconds to start, kube-apiserver is started after it, and again later: nobody else may get their ports.
  const [clientPort = 0, peerPort = 0, apiPort = 0] = await freePorts(3);
  const etcdUrl = `http://127.0.0.1:${clientPort}`;
  await startEtcd(directory, { etcdUrl, peerUrl: `http://127.0.0.1:${peerPort}`, context });
  const server = `https://127.0.0.1:${apiPort}`;
  let apiServer: ChildProcess | undefined;
  const startApiServer = async () => {
    const child = await spawnLogged('kube-apiserver', directory, context, [
      `--etcd-servers=${etcdUrl}`,
      `--secure-port=${apiPort}`,
      '--bind-address=127.0.0.1',
      '--advertise-address=192.0.2.1',
      '--endpoint-reconciler-type=none',
      '--service-cluster-ip-range=10.96.0.0/16',
      `--client-ca-file=${file('ca.crt')}`,
      `--tls-cert-file=${serving.certFile}`,
      `--tls-private-key-file=${serving.keyFile}`,
      `--token-auth-file=${file('tokens.csv')}`,
      '--authorization-mode=Node,RBAC',
      '--enable-bootstrap-token-auth=true',
      '--allow-privileged=true',
      '--service-account-issuer=https://kubernetes.default.svc',
      `--service-account-key-file=${file('service-account.key')}`,
      `--service-account-signing-key-file=${file('service-account.key')}`,
      ...(context.apiServerFlags ?? []),
    ]);
    apiServer = child;
    await ready(child, directory, () => isReady(apiPort, adminToken));
  };
  await startApiServer();
  await writeFile(
    file('admin.kubeconfig'),
    renderKubeconfig({ server, ca: file('ca.crt'), ...admin }),
  );
  return {
    server,
    caFile: file('ca.crt'),
    caKeyFile: file('ca.key'),
    admin,
    adminToken,
    kubeconfig: file('admin.kubeconfig'),
    serviceAccountKeyFile: file('service-account.key'),
    directory,
    etcdUrl,
    apiServerPid: () => apiServer?.pid,
    clientCertificate,
    connect: (credentials = admin) => {
      const client = createKubeClient({ server, caFile: file('ca.crt'), ...credentials });
      context.clients.push(client);
      return client;
    },
    stopApiServer: async () => {
      if (apiServer !== undefined) await end(apiServer, context.children);
      apiServer = undefined;
    },
    startApiServer,
    stop: context.stop,
  };
}

async function startEtcd(
  directory: string,
  options: { etcdUrl: string; peerUrl: string; context: StartContext },
): Promise<void> {
  const { etcdUrl, peerUrl, context } = options;
  await mkdir(path.join(directory, 'etcd'), { mode: 0o700 });
  const etcd = await spawnLogged('etcd', directory, context, [
    `--data-dir=${path.join(directory, 'etcd')}`,
    '--name=test',
    `--listen-client-urls=${etcdUrl}`,
    `--advertise-client-urls=${etcdUrl}`,
    `--listen-peer-urls=${peerUrl}`,
    `--initial-advertise-peer-urls=${peerUrl}`,
    `--initial-cluster=test=${peerUrl}`,
    '--unsafe-no-fsync',
    '--log-level=warn',
  ]);
  const health = async () => (await fetch(`${etcdUrl}/health`).catch(() => undefined))?.ok === true;
  await ready(etcd, directory, health);
}

/** The kernel ends the child when this process dies (pdeathsig), so that a killed test run leaves nothing. */
async function spawnLogged(
  name: string,
  directory: string,
  context: StartContext,
  flags: readonly string[],
): Promise<ChildProcess> {
  const log = await open(path.join(directory, `${name}.log`), 'a');
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', componentBinary(name), ...flags], {
    stdio: ['ignore', log.fd, log.fd],
    argv0: name,
  });
  context.children.add(child);
  await log.close();
  return child;
}

async function ready(
  child: ChildProcess,
  directory: string,
  probe: () => Promise<boolean>,
): Promise<void> {
  const name = child.spawnargs[0] ?? 'child';
  try {
    await waitFor(
      async () => {
        if (child.exitCode !== null || child.signalCode !== null) throw new Error(`${name} exited`);
        return probe();
      },
      { subject: `${name} to be ready`, timeoutMs: 180_000, intervalMs: 100 },
    );
  } catch (error) {
    const log = await readFile(path.join(directory, `${name}.log`), 'utf8').catch(() => '');
    throw new Error(`${String(error)}\n${log.split('\n').slice(-15).join('\n')}`);
  }
}

async function end(child: ChildProcess, children: Set<ChildProcess>): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) {
    const exited = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGTERM');
    const patience = setTimeout(() => child.kill('SIGKILL'), 3_000);
    await exited;
    clearTimeout(patience);
  }
  children.delete(child);
}

function isReady(port: number, token: string): Promise<boolean> {
  return new Promise((resolve) => {
    const options = { rejectUnauthorized: false, headers: { authorization: `Bearer ${token}` } };
    const call = request(
      `https://127.0.0.1:${port}/readyz`,
      { ...options, timeout: 2_000 },
      (response) => {
        response.resume();
        resolve(response.statusCode === 200);
      },
    );
    call.on('timeout', () => call.destroy(new Error('timeout')));
    call.on('error', () => resolve(false));
    call.end();
  });
}

async function makeAuthority(directory: string): Promise<void> {
  await run('openssl', [
    ...[
      'req',
      '-x509',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:P-256',
      '-nodes',
      '-days',
      '2',
    ],
    ...['-keyout', path.join(directory, 'ca.key'), '-out', path.join(directory, 'ca.crt')],
    ...[
      '-subj',
      '/CN=test-ca',
      '-addext',
      'keyUsage=critical,keyCertSign,cRLSign,digitalSignature',
    ],
  ]);
}

async function issue(
  directory: string,
  options: { name: string; subject: string; extensions: string },
): Promise<ClientFiles> {
  const file = (suffix: string) => path.join(directory, `${options.name}.${suffix}`);
  await run('openssl', [
    ...['req', '-new', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'],
    ...['-keyout', file('key'), '-out', file('csr'), '-subj', options.subject],
  ]);
  await writeFile(file('ext'), `${options.extensions}\nkeyUsage=critical,digitalSignature\n`);
  await run('openssl', [
    ...['x509', '-req', '-in', file('csr'), '-out', file('crt'), '-days', '1', '-CAcreateserial'],
    ...['-CA', path.join(directory, 'ca.crt'), '-CAkey', path.join(directory, 'ca.key')],
    ...['-extfile', file('ext')],
  ]);
  return { certFile: file('crt'), keyFile: file('key') };
}

function renderKubeconfig(options: { server: string; ca: string } & ClientFiles): string {
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    'current-context': 'test',
    clusters: [
      { name: 'test', cluster: { server: options.server, 'certificate-authority': options.ca } },
    ],
    users: [
      {
        name: 'admin',
        user: { 'client-certificate': options.certFile, 'client-key': options.keyFile },
      },
    ],
    contexts: [{ name: 'test', context: { cluster: 'test', user: 'admin' } }],
  });
}
