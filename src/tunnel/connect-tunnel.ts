import { createHash, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { Duplex } from 'node:stream';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { dialTcp } from '../base/dial.ts';
import { errorCode, errorMessage } from '../base/errors.ts';
import { gatewayServerName, tunnelProtocol } from '../base/gateway-names.ts';
import { parseHostPort } from '../base/host-port.ts';
import type { ProxySettings } from '../base/proxy-settings.ts';

export interface TunnelConnectorOptions {
  /** PEM: the node's client certificate and its key, which may be one file, and the cluster's CA. Read at each connect. */
  readonly certFile: string;
  readonly keyFile: string;
  readonly caFile: string;
  /** The machine's; straight when left out. */
  readonly proxy?: ProxySettings | undefined;
}

/** What `createTunnelAgent` needs to reach controllers. */
export interface TunnelConnector {
  /**
   * A TLS 1.3 connection to the tunnel of a gateway that has proved to belong to the cluster.
   * @throws Error that says what is wrong, or the signal's reason.
   */
  connect(address: string, signal: AbortSignal): Promise<Duplex>;
  /** Of the certificate that the next `connect` would show: SHA-256, lower-case hex; undefined when there is none yet. */
  credentialsFingerprint(): Promise<string | undefined>;
}

const dialTimeoutMs = 10_000;

export function createTunnelConnector(options: TunnelConnectorOptions): TunnelConnector {
  return {
    connect: (address, signal) => connectTunnel(options, address, signal),
    credentialsFingerprint: async () => {
      try {
        return fingerprintOf(await readFile(options.certFile));
      } catch (error) {
        if (errorCode(error) === 'ENOENT') return undefined;
        throw error;
      }
    },
  };
}

async function connectTunnel(
  options: TunnelConnectorOptions,
  address: string,
  signal: AbortSignal,
): Promise<Duplex> {
  const [cert, key, ca] = await Promise.all(
    [options.certFile, options.keyFile, options.caFile].map((file) => readFile(file)),
  );
  const target = parseHostPort(address);
  if (target === undefined) throw new Error(`${address} is not host:port`);
  const raw = await dialTcp({ ...target, proxy: options.proxy, timeoutMs: dialTimeoutMs }, signal);
  if (signal.aborted) {
    raw.destroy();
    signal.throwIfAborted();
  }
  const tls = connectTls({
    ...{ socket: raw, cert, key, ca },
    servername: gatewayServerName,
    minVersion: 'TLSv1.3',
    ALPNProtocols: [tunnelProtocol],
  });
  return handshake(tls, raw, { address, signal });
}

function handshake(
  tls: TLSSocket,
  raw: Duplex,
  { address, signal }: { readonly address: string; readonly signal: AbortSignal },
): Promise<Duplex> {
  return new Promise((resolve, reject) => {
    const settle = () => {
      signal.removeEventListener('abort', onAbort);
      tls.off('error', onError).off('close', onClose);
    };
    const fail = (error: Error) => {
      settle();
      // What comes after the first error says nothing more.
      tls.on('error', () => {}).destroy();
      raw.destroy();
      reject(error);
    };
    const onAbort = () => fail(signal.reason as Error);
    const onError = (error: Error) => fail(explainHandshake(address, error));
    const onClose = () => fail(new Error(`${address} closed the connection during the handshake`));
    tls.once('secureConnect', () => {
      if (tls.alpnProtocol !== tunnelProtocol) {
        fail(new Error(`${address} is not the tunnel of a mini-k8s controller`));
        return;
      }
      settle();
      resolve(tls);
    });
    tls.once('error', onError).once('close', onClose);
    signal.addEventListener('abort', onAbort, { once: true });
  });
}

/** The words of TLS libraries for the mistakes that people make. */
function explainHandshake(address: string, error: Error): Error {
  const code = errorCode(error) ?? '';
  const text = explanations[code] ?? errorMessage(error);
  return new Error(`TLS with ${address} failed: ${text}`, { cause: error });
}

const explanations: Readonly<Record<string, string>> = {
  CERT_NOT_YET_VALID: 'its certificate is not valid yet; check the clocks of both machines',
  CERT_HAS_EXPIRED: 'its certificate has expired; check the clocks of both machines',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'its certificate is not of this cluster',
  SELF_SIGNED_CERT_IN_CHAIN: 'its certificate is not of this cluster',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'its certificate is not of this cluster',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'its certificate is not of this cluster',
  ERR_TLS_CERT_ALTNAME_INVALID: 'its certificate is not one of a gateway',
  ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL: 'it does not serve the tunnel on this port',
  ERR_SSL_NO_APPLICATION_PROTOCOL: 'it does not serve the tunnel on this port',
  ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION: 'it does not speak TLS 1.3',
};

function fingerprintOf(pem: Buffer): string {
  return createHash('sha256').update(new X509Certificate(pem).raw).digest('hex');
}
