import type { Socket } from 'node:net';
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls';
import { errorCode } from '../base/errors.ts';

/** The server is not who it should be: no other try would help. */
export class UntrustedServerError extends Error {
  override readonly name = 'UntrustedServerError';
}

/**
 * Speaks TLS over a connected socket, for HTTP/1.1.
 * @param limit Aborts when it takes too long, or is not wanted any more.
 * @throws UntrustedServerError when the certificate is not one that `options` accept.
 */
export function openTls(
  socket: Socket,
  options: ConnectionOptions,
  limit: AbortSignal,
): Promise<TLSSocket> {
  const tls = connect({ ...options, socket, ALPNProtocols: ['http/1.1'] });
  return new Promise((resolve, reject) => {
    const fail = (error: Error) => {
      socket.destroy();
      reject(
        isTrustError(error) ? new UntrustedServerError(error.message, { cause: error }) : error,
      );
    };
    const onClose = () => fail(new Error('it closed the connection during the TLS handshake'));
    const onLimit = () => fail(new Error('the TLS handshake took too long'));
    limit.addEventListener('abort', onLimit, { once: true });
    // Stays, so that a late error ends nothing but the socket.
    tls.on('error', fail).once('close', onClose);
    tls.once('secureConnect', () => {
      limit.removeEventListener('abort', onLimit);
      tls.off('close', onClose);
      resolve(tls);
    });
  });
}

/** @see https://docs.openssl.org/3.5/man3/X509_STORE_CTX_get_error/ for the names without their X509_V_ERR_ */
function isTrustError(error: Error): boolean {
  return /CERT|SELF_SIGNED|UNABLE_TO_|HOSTNAME/.test(errorCode(error) ?? '');
}
