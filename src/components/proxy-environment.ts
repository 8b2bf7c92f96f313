import { parseProxyUrl } from '../base/proxy-settings.ts';
import { proxyVariables } from '../config/proxy-variables.ts';
import type { ClusterConfig } from '../config/types.ts';

/** Names under which the proxies with a password are filled into a plan's processes. */
export const proxySecrets = { HTTP_PROXY: 'http-proxy', HTTPS_PROXY: 'https-proxy' } as const;

/**
 * The proxy of a component that speaks to the world outside: what the cluster has itself is reached without it. An
 * address with a password in it is left to be filled in, so that no plan shows it.
 */
export function proxyEnvironment(config: ClusterConfig): Record<string, string> {
  const { proxy, network } = config.spec;
  if (proxy.http === '' && proxy.https === '') return {};
  const own = [
    ...['localhost', '127.0.0.0/8', network.podCIDR, network.serviceCIDR],
    ...['.svc', `.${network.clusterDomain}`],
  ];
  const noProxy = [...new Set([...proxy.noProxy, ...own])];
  const variables = proxyVariables({ ...proxy, noProxy });
  return Object.fromEntries(
    Object.entries(variables).map(([name, value]) => [name, hideSecret(name, value)]),
  );
}

function hideSecret(name: string, value: string): string {
  const secret = Object.entries(proxySecrets).find(([variable]) => variable === name)?.[1];
  if (secret === undefined || parseProxyUrl(value)?.authorization === undefined) return value;
  return `\${secret:${secret}}`;
}
