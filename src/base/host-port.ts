import { isIPv6 } from 'node:net';

/** Where something listens: a name or an address, without brackets, and a port. */
export interface HostPort {
  readonly host: string;
  readonly port: number;
}

/**
 * Reads `host:port`, `host` and `[address]:port`; undefined when it is neither. An IPv6 address needs its brackets when
 * a port follows.
 */
export function parseHostPort(text: string, defaultPort?: number): HostPort | undefined {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]\s/@]+))(?::(\d{1,5}))?$/.exec(text);
  const [, address, name, digits] = match ?? [];
  const host = address ?? name ?? (isIPv6(text) ? text : '');
  const port = digits === undefined ? defaultPort : Number(digits);
  if (host === '' || port === undefined || port < 1 || port > 65_535) return undefined;
  return address === undefined || isIPv6(address) ? { host, port } : undefined;
}

/** `10.0.0.4:9443`, `[fd00::4]:9443`. */
export function renderHostPort({ host, port }: HostPort): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
