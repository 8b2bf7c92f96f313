import type { ProxySpec } from './types.ts';

/** The proxy as the variables by which programs are told. Pure. */
export function proxyVariables(proxy: ProxySpec): Record<string, string> {
  return Object.fromEntries(
    Object.entries({
      HTTP_PROXY: proxy.http,
      HTTPS_PROXY: proxy.https,
      NO_PROXY: proxy.noProxy.join(','),
    }).filter(([, value]) => value !== ''),
  );
}
