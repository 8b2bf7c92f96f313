import type { IncomingMessage, ServerResponse } from 'node:http';

/** Who is on the other side of a TLS connection, as far as its certificate proves it. */
export interface Peer {
  /** IPv4 without the `::ffff:` that dual-stack sockets put before it. */
  readonly remoteAddress: string;
  /** Only of a certificate that a trusted authority signed, that is valid now and is for clients. */
  readonly certificate?: PeerCertificate;
}

export interface PeerCertificate {
  readonly commonName: string;
  readonly organizations: readonly string[];
  /** SHA-256 of the DER, lower-case hex. */
  readonly fingerprint: string;
  /** Milliseconds since the epoch. */
  readonly notAfterMs: number;
}

/** Everything below a path of the one listener. */
export interface HttpRoute {
  /** `/v2/`: with the slash at its end. */
  readonly prefix: string;
  /** Answers the request, whatever it is. What it throws becomes a 500 without details. */
  handle(request: IncomingMessage, response: ServerResponse, peer: Peer): void | Promise<void>;
}
