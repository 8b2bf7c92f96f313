import { BlockList, isIP, isIPv4, isIPv6 } from 'node:net';
import { UserError } from './errors.ts';
import { type HostPort, renderHostPort } from './host-port.ts';

/** Through which HTTP proxy outbound connections go, and which do not. */
export interface ProxySettings {
  readonly proxy: HttpProxy;
  /** The entries of NO_PROXY, as they were written. */
  readonly exceptions: readonly string[];
}

export interface HttpProxy extends HostPort {
  /** How the proxy itself is spoken to. */
  readonly protocol: 'http' | 'https';
  /** The value of `Proxy-Authorization`; a secret. */
  readonly authorization?: string;
  /** PEM of the CA of an https proxy; the machine's own list when left out. */
  readonly ca?: string;
}

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * The proxy for TLS connections that an environment asks for by HTTPS_PROXY and NO_PROXY or their lower-case forms
 * (which win, as with other programs); undefined for none. Pure.
 * @throws UserError for a proxy that is none.
 */
export function proxySettingsFrom(env: Environment): ProxySettings | undefined {
  const variable = env['https_proxy'] ? 'https_proxy' : 'HTTPS_PROXY';
  const text = (env[variable] ?? '').trim();
  if (text === '') return undefined;
  const exceptions = (env['no_proxy'] || env['NO_PROXY'] || '').split(/[\s,]+/).filter(Boolean);
  return { proxy: parseProxy(text, variable), exceptions };
}

/** The text is never quoted: it may hold a password. */
function parseProxy(text: string, variable: string): HttpProxy {
  const proxy = parseProxyUrl(text);
  if (proxy !== undefined) return proxy;
  throw new UserError({
    what: `use the proxy of the environment variable ${variable}`,
    why: 'its value is not the URL of an http or https proxy',
    fix: `set ${variable} to something like http://proxy.example:3128, or to nothing`,
  });
}

/** The proxy that a URL means, with or without `http://`; undefined for what is none. Pure. */
export function parseProxyUrl(text: string): HttpProxy | undefined {
  const url = parseUrl(text.includes('://') ? text : `http://${text}`);
  const protocol = url?.protocol.slice(0, -1);
  if (url === undefined || (protocol !== 'http' && protocol !== 'https') || url.hostname === '') {
    return undefined;
  }
  const defaultPort = protocol === 'https' ? 443 : 80;
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const authorization = authorizationOf(url);
  return {
    protocol,
    host,
    port: url.port === '' ? defaultPort : Number(url.port),
    ...(authorization === undefined ? {} : { authorization }),
  };
}

function authorizationOf(url: URL): string | undefined {
  if (url.username === '' && url.password === '') return undefined;
  const credentials = [url.username, url.password].map(decodePercent).join(':');
  return `Basic ${Buffer.from(credentials).toString('base64')}`;
}

/** A password with a bare percent sign in it means that sign. */
function decodePercent(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch (error) {
    if (error instanceof URIError) return text;
    throw error;
  }
}

function parseUrl(text: string): URL | undefined {
  try {
    return new URL(text);
  } catch (error) {
    if (error instanceof TypeError) return undefined;
    throw error;
  }
}

/** The proxy that a connection to `target` goes through, or undefined when it goes straight. Pure. */
export function proxyFor(
  settings: ProxySettings | undefined,
  target: HostPort,
): HttpProxy | undefined {
  if (settings === undefined || isLoopback(target.host)) return undefined;
  return settings.exceptions.some((entry) => covers(entry, target)) ? undefined : settings.proxy;
}

/** `proxy.corp:3128`, for messages. */
export function renderProxy(proxy: HttpProxy): string {
  return renderHostPort(proxy);
}

function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIPv4(host) && host.startsWith('127.'));
}

/**
 * `*`, an address, a network in CIDR form, a name (with those below it), `.name` (only those below it); each but `*`
 * and a network also with `:port`.
 */
function covers(entry: string, target: HostPort): boolean {
  if (entry === '*') return true;
  const host = target.host.toLowerCase().replace(/\.$/, '');
  if (entry.includes('/')) return isInNetwork(entry, host);
  const { pattern, port } = splitPort(entry.toLowerCase());
  if (port !== undefined && port !== target.port) return false;
  if (isIP(pattern) !== 0 || isIP(host) !== 0) return isSameAddress(pattern, host);
  const name = pattern.replace(/^\*(?=\.)/, '');
  return name.startsWith('.') ? host.endsWith(name) : host === name || host.endsWith(`.${name}`);
}

function splitPort(entry: string): { pattern: string; port?: number } {
  if (isIPv6(entry)) return { pattern: entry };
  const [, address, name = '', digits] = /^(?:\[(.*)\]|([^:]*))(?::(\d+))?$/.exec(entry) ?? [];
  const pattern = address ?? name;
  return digits === undefined ? { pattern } : { pattern, port: Number(digits) };
}

function isSameAddress(pattern: string, host: string): boolean {
  if (isIP(pattern) === 0 || isIP(pattern) !== isIP(host)) return false;
  return isInNetwork(`${pattern}/${isIPv4(pattern) ? 32 : 128}`, host);
}

function isInNetwork(network: string, host: string): boolean {
  const [base = '', digits = ''] = network.split('/');
  const family = familyOf(base);
  const length = /^\d{1,3}$/.test(digits) ? Number(digits) : Number.NaN;
  const isNetwork = family !== undefined && length <= (family === 'ipv4' ? 32 : 128);
  if (!isNetwork || familyOf(host) !== family) return false;
  const list = new BlockList();
  list.addSubnet(base, length, family);
  return list.check(host, family);
}

function familyOf(address: string): 'ipv4' | 'ipv6' | undefined {
  const version = isIP(address);
  if (version === 0) return undefined;
  return version === 4 ? 'ipv4' : 'ipv6';
}
