/** Names below this are servers of ours; no node may have one. */
export const reservedDomain = '.mini-k8s.internal';

/**
 * The name in every gateway's certificate, whatever address it is reached at: workers behind NAT, port forwardings and
 * names of the operator need no SAN of their own.
 */
export const gatewayServerName = `gateway${reservedDomain}`;

/** ALPN of the tunnel: gateways serve HTTP on the same port. */
export const tunnelProtocol = 'mini-k8s-tunnel/1';
