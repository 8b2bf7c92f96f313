import type { X509Certificate } from 'node:crypto';
import { request } from 'node:http';
import type { Socket } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { dialTcp } from '../base/dial.ts';
import { DialError } from '../base/dial-error.ts';
import { errorMessage } from '../base/errors.ts';
import { gatewayServerName, tunnelProtocol } from '../base/gateway-names.ts';
import { type ProxySettings, proxyFor, renderProxy } from '../base/proxy-settings.ts';
import type { Clock } from '../base/time.ts';
import { runTool } from '../host/run-tool.ts';
import { spkiPin } from '../pki/certificate-reader.ts';
import type {
  AnswerFinding,
  DoctorEndpoint,
  EndpointProbe,
  RouteFinding,
  TlsFinding,
  TunnelFinding,
} from './doctor-types.ts';

export interface ProbeOptions {
  /** PEM of the cluster's CA; undefined before a machine has joined. */
  readonly ca: string | undefined;
  readonly proxy: ProxySettings | undefined;
  readonly clock: Clock;
  readonly timeoutMs: number;
}

/** Names that the certificates hold, whatever address a server is reached by. */
const serverNames = { gateway: gatewayServerName, api: 'kubernetes' } as const;

/** More than two full packets, less than any server's limit for a header. */
const bigHeaderBytes = 4_000;

/** Looks at one endpoint. Sends no secret and presents no certificate: what answers may be anybody. */
export async function probeEndpoint(
  endpoint: DoctorEndpoint,
  options: ProbeOptions,
  signal: AbortSignal,
): Promise<EndpointProbe> {
  const proxy = proxyFor(options.proxy, endpoint.address);
  const known = { endpoint, ...(proxy === undefined ? {} : { proxy: renderProxy(proxy) }) };
  const look: Look = { endpoint, options, signal };
  const startedAt = performance.now();
  let socket: Socket;
  try {
    socket = await dial(look);
  } catch (error) {
    signal.throwIfAborted();
    const code = error instanceof DialError ? error.code : 'EIO';
    return { ...known, tcp: { type: 'failed', code, message: errorMessage(error) } };
  }
  const tcp = { type: 'connected', elapsedMs: performance.now() - startedAt } as const;
  const route = await findRoute(socket.remoteAddress ?? '');
  const found = { ...known, tcp, ...(route === undefined ? {} : { route }) };
  const handshake = await shakeHands(look, socket, 'http/1.1');
  if (handshake.type === 'failed') return { ...found, tls: handshake };
  const tls = describeTls(handshake.socket, options.ca !== undefined);
  const answer = await ask(look, handshake.socket, 0);
  if (answer.type === 'failed') return { ...found, tls, answer };
  const bigAnswer = await askBig(look);
  if (endpoint.kind === 'api') return { ...found, tls, answer, bigAnswer };
  return { ...found, tls, answer, bigAnswer, tunnel: await openTunnel(look) };
}

interface Look {
  readonly endpoint: DoctorEndpoint;
  readonly options: ProbeOptions;
  readonly signal: AbortSignal;
}

function dial({ endpoint, options, signal }: Look): Promise<Socket> {
  const { proxy, timeoutMs } = options;
  return dialTcp({ ...endpoint.address, proxy, timeoutMs }, signal);
}

type Handshake =
  | { readonly type: 'established'; readonly socket: TLSSocket }
  | { readonly type: 'failed'; readonly message: string };

/** Goes on with a certificate that is not accepted: why it is not is what is asked. */
function shakeHands(look: Look, socket: Socket, protocol: string): Promise<Handshake> {
  const { ca, timeoutMs } = look.options;
  return new Promise((resolve) => {
    const tls = connectTls({
      socket,
      servername: serverNames[look.endpoint.kind],
      ALPNProtocols: [protocol],
      rejectUnauthorized: false,
      minVersion: 'TLSv1.2',
      ...(ca === undefined ? {} : { ca }),
    });
    const fail = (message: string) => {
      clearTimeout(timer);
      tls.destroy();
      resolve({ type: 'failed', message });
    };
    const timer = setTimeout(() => fail(`nothing came within ${timeoutMs / 1000} s`), timeoutMs);
    tls.on('error', (error) => fail(errorMessage(error)));
    tls.once('close', () => fail('the other side closed the connection'));
    tls.once('secureConnect', () => {
      clearTimeout(timer);
      resolve({ type: 'established', socket: tls });
    });
  });
}

function describeTls(socket: TLSSocket, hasCa: boolean): TlsFinding {
  const leaf = socket.getPeerX509Certificate();
  if (leaf === undefined) return { type: 'failed', message: 'it shows no certificate' };
  // Node.js types it as an Error and gives the code as text.
  const problem = socket.authorized ? '' : String(socket.authorizationError ?? 'not authorized');
  return {
    type: 'established',
    problem: hasCa ? problem : undefined,
    subject: oneLine(leaf.subject),
    issuer: oneLine(leaf.issuer),
    notBeforeMs: Date.parse(leaf.validFrom),
    notAfterMs: Date.parse(leaf.validTo),
    authorityPin: pinOf(lastOf(leaf)),
  };
}

/** A stranger's chain may be as long as it likes. */
const maxChain = 8;

function lastOf(leaf: X509Certificate): X509Certificate {
  let last = leaf;
  for (let i = 0; i < maxChain && last.issuerCertificate !== undefined; i += 1) {
    last = last.issuerCertificate;
  }
  return last;
}

function pinOf(certificate: X509Certificate): string {
  return Buffer.from(spkiPin(certificate.toString()), 'hex').toString('base64url');
}

function oneLine(name: string): string {
  const text = name
    .split('\n')
    .join(', ')
    .replaceAll(/[^\x20-\x7e]/g, '?');
  return text === '' ? 'somebody without a name' : text.slice(0, 200);
}

async function askBig(look: Look): Promise<AnswerFinding> {
  return withNewConnection(look, 'http/1.1', (socket) => ask(look, socket, bigHeaderBytes));
}

async function openTunnel(look: Look): Promise<TunnelFinding> {
  return withNewConnection(look, tunnelProtocol, async (socket) => {
    const protocol = typeof socket.alpnProtocol === 'string' ? socket.alpnProtocol : '';
    return { type: 'established', protocol };
  });
}

async function withNewConnection<T>(
  look: Look,
  protocol: string,
  work: (socket: TLSSocket) => Promise<T>,
): Promise<T | { readonly type: 'failed'; readonly message: string }> {
  try {
    const handshake = await shakeHands(look, await dial(look), protocol);
    if (handshake.type === 'failed') return handshake;
    const result = await work(handshake.socket);
    handshake.socket.destroy();
    return result;
  } catch (error) {
    look.signal.throwIfAborted();
    return { type: 'failed', message: errorMessage(error) };
  }
}

/** GET /readyz; the time of the answer is taken as half way between question and answer. */
function ask(look: Look, socket: TLSSocket, paddingBytes: number): Promise<AnswerFinding> {
  const { clock, timeoutMs } = look.options;
  const padding = paddingBytes === 0 ? {} : { 'x-padding': 'x'.repeat(paddingBytes) };
  const startedMs = clock.now();
  return new Promise((resolve) => {
    const call = request({
      path: '/readyz',
      headers: {
        host: serverNames[look.endpoint.kind],
        connection: 'close',
        'user-agent': 'mini-k8s',
        ...padding,
      },
      createConnection: () => socket,
    });
    const finish = (finding: AnswerFinding) => {
      clearTimeout(timer);
      resolve(finding);
      call.destroy();
      socket.destroy();
    };
    const fail = (message: string) => finish({ type: 'failed', message });
    const timer = setTimeout(() => fail(`nothing came within ${timeoutMs / 1000} s`), timeoutMs);
    call.on('error', (error) => fail(errorMessage(error)));
    call.on('response', ({ statusCode = 0, headers }) => {
      const middleMs = (startedMs + clock.now()) / 2;
      const clockDifferenceMs = differenceOf(headers.date, middleMs);
      finish({
        type: 'answered',
        status: statusCode,
        ...(clockDifferenceMs === undefined ? {} : { clockDifferenceMs }),
      });
    });
    call.end();
  });
}

/** The header has whole seconds: half a second more is nearer on average. */
function differenceOf(date: string | undefined, ownMs: number): number | undefined {
  const theirMs = Date.parse(date ?? '');
  return Number.isNaN(theirMs) ? undefined : theirMs + 500 - ownMs;
}

/** What the kernel knows of the way; undefined where `ip` does not say. It is no measurement of the whole path. */
async function findRoute(address: string): Promise<RouteFinding | undefined> {
  try {
    const target = address.replace(/^::ffff:/, '');
    const routes = await runTool('ip', ['-json', 'route', 'get', target]);
    const [route] = JSON.parse(routes) as IpRoute[];
    if (route?.dev === undefined) return undefined;
    const links = await runTool('ip', ['-json', 'link', 'show', 'dev', route.dev]);
    const [link] = JSON.parse(links) as { readonly mtu?: number }[];
    const linkMtu = link?.mtu ?? 0;
    const routeMtu = route.metrics?.find(({ mtu }) => mtu !== undefined)?.mtu ?? linkMtu;
    const mtuBytes = Math.min(routeMtu, linkMtu);
    return { interface: route.dev, mtuBytes, isLearned: mtuBytes < linkMtu };
  } catch {
    // No `ip`, or one that knows no JSON: the line is left out.
    return undefined;
  }
}

interface IpRoute {
  readonly dev?: string;
  readonly metrics?: readonly { readonly mtu?: number }[];
}
