import type { FileSpec } from '../base/files.ts';

/** Where containerd looks for a directory per registry; an operator may add some beside ours. */
export const registriesDir = '/etc/mini-k8s/registries';

/** The mirrors of all registries that have no directory of their own. */
export const mirrorsFile = `${registriesDir}/_default/hosts.toml`;

/** Sent with each request, and the sign that a file is ours: `reset` leaves an operator's alone. */
export const mirrorHeader = 'mini-k8s-architecture';

export interface RegistryMirrorOptions {
  /** `host:port` of the controllers' gateways: their certificates must bear exactly these hosts. */
  readonly gateways: readonly string[];
  /** Absolute path of the cluster's CA. */
  readonly caFile: string;
  /**
   * Absolute path of a PEM file with a client certificate and its key: kubelet's `kubelet-client-current.pem`. containerd
   * reads it at each pull; while there is none every pull fails, also from other registries.
   */
  readonly clientCertFile: string;
  /** The machine's, in Go's words: it gets nothing that it could not run. */
  readonly arch: string;
}

/**
 * A gateway that does not answer must not cost each pull the 30 s that containerd has for a registry. Three tries of TCP
 * are over by then.
 */
const dialTimeout = '4s';

/**
 * The controllers as mirrors of all registries: what they do not have, or while none answers, comes from the registry
 * that the image names.
 * @see https://github.com/containerd/containerd/blob/v2.3.6/docs/hosts.md
 */
export function registryFiles(options: RegistryMirrorOptions): FileSpec[] {
  if (options.gateways.length === 0) return [];
  const hosts = options.gateways.map((gateway) => renderHost(gateway, options));
  return [
    {
      path: mirrorsFile,
      content: hosts.join('\n'),
      mode: 0o644,
      uid: 0,
      gid: 0,
    },
  ];
}

function renderHost(gateway: string, options: RegistryMirrorOptions): string {
  const host = `host.${JSON.stringify(`https://${gateway}`)}`;
  return `[${host}]
capabilities = ["pull", "resolve"]
ca = ${JSON.stringify(options.caFile)}
client = ${JSON.stringify(options.clientCertFile)}
dial_timeout = "${dialTimeout}"
[${host}.header]
${mirrorHeader} = ${JSON.stringify(options.arch)}
`;
}
