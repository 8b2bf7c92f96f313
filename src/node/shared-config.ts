import type { ClusterConfig, RegistrySpec } from '../config/types.ts';

/**
 * What workers are told of a controller's configuration. What concerns one machine only stays there, and so does what
 * nobody has set: a worker that is a version behind does not know every field.
 */
export function sharedConfig({
  spec,
  ...config
}: ClusterConfig): Readonly<Record<string, unknown>> {
  const { node: _node, proxy: _proxy, registries, kubelet, extraArgs, ...shared } = spec;
  const { address: _address, ...api } = spec.api;
  const { containerd, kubelet: kubeletArgs, 'kube-proxy': proxyArgs } = extraArgs;
  const nodeArgs = withoutEmpty({ containerd, kubelet: kubeletArgs, 'kube-proxy': proxyArgs });
  return {
    ...config,
    spec: {
      ...shared,
      api: { ...api, sans: [] },
      ...withoutEmpty({ registries: withoutCredentials(registries), kubelet }),
      ...withoutEmpty({ extraArgs: nodeArgs }),
    },
  };
}

/** The files with credentials are each machine's own; a worker names its own. */
function withoutCredentials(
  registries: Readonly<Record<string, RegistrySpec>>,
): Readonly<Record<string, object>> {
  const strip = <T extends { readonly credentialsFile: string }>(access: T) => {
    const { credentialsFile: _file, ...rest } = access;
    return rest;
  };
  return Object.fromEntries(
    Object.entries(registries).map(([name, registry]) => [
      name,
      { ...strip(registry), mirrors: registry.mirrors.map(strip) },
    ]),
  );
}

function withoutEmpty<T extends Readonly<Record<string, object>>>(parts: T): Partial<T> {
  const filled = Object.entries(parts).filter(([, part]) => Object.keys(part).length > 0);
  return Object.fromEntries(filled) as Partial<T>;
}
