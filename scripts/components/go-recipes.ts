import type { ComponentName } from '../../src/artifacts/catalog.ts';

/**
 * How one wrapper module (scripts/components/<name>) is built. In `tags` and `variables`, `{version}`, `{major}`
 * and `{minor}` stand for parts of the pinned version. Everything here is part of the recipe hash.
 */
export interface GoRecipe {
  readonly name: GoComponentName;
  /** The module whose version in go.mod must be the pinned one. */
  readonly module: string;
  readonly executables: readonly GoExecutable[];
  readonly tags?: readonly string[];
  /** Values for the linker's `-X`, by full variable name. */
  readonly variables?: Readonly<Record<string, string>>;
  /** Links C code in statically: needs a C compiler and these Debian packages of the target architecture. */
  readonly cgoPackages?: readonly string[];
  /** The version that every `k8s.io/…` replacement must have (Kubernetes' own libraries). */
  readonly stagingVersion?: string;
}

export interface GoExecutable {
  readonly name: string;
  /** The main package. */
  readonly package: string;
  /** How the executable tells its version, which is run once after a build for this machine's architecture. */
  readonly versionArgs: readonly string[];
}

/** Wrapper modules: the components of the catalog and the programs inside the addons' images. */
export type GoComponentName = ComponentName | 'coredns' | 'kube-router' | 'metrics-server';

/**
 * Upstream's commit and date are not in a module. A date that changed with every build would change every hash,
 * so these say plainly that they are not known.
 */
const unknownCommit = '0'.repeat(40);
const unknownDate = '1970-01-01T00:00:00Z';

/**
 * Without this tag a debug page of the gRPC library keeps html/template in, and with it every exported method:
 * kube-router is 67 MB instead of 42, metrics-server 71 instead of 51.
 */
const withoutGrpcTrace = 'grpcnotrace';

/** In building order: what tests of single engines need comes first. */
export const goRecipes: readonly GoRecipe[] = [
  {
    name: 'kubernetes',
    module: 'k8s.io/kubernetes',
    executables: [
      ...[
        'kube-apiserver',
        'kube-controller-manager',
        'kube-scheduler',
        'kube-proxy',
        'kubelet',
      ].map((name) => ({
        name,
        package: `k8s.io/kubernetes/cmd/${name}`,
        versionArgs: ['--version'],
      })),
      {
        name: 'kubectl',
        package: 'k8s.io/kubernetes/cmd/kubectl',
        versionArgs: ['version', '--client'],
      },
    ],
    tags: ['selinux', 'notest', withoutGrpcTrace],
    variables: kubernetesVersionVariables([
      'k8s.io/component-base/version',
      'k8s.io/client-go/pkg/version',
    ]),
    stagingVersion: '0.{minor}.{patch}',
  },
  {
    name: 'etcd',
    module: 'go.etcd.io/etcd/server/v3',
    executables: [
      { name: 'etcd', package: 'go.etcd.io/etcd/server/v3', versionArgs: ['--version'] },
      { name: 'etcdctl', package: 'go.etcd.io/etcd/etcdctl/v3', versionArgs: ['version'] },
      { name: 'etcdutl', package: 'go.etcd.io/etcd/etcdutl/v3', versionArgs: ['version'] },
    ],
    tags: [withoutGrpcTrace],
  },
  {
    name: 'containerd',
    module: 'github.com/containerd/containerd/v2',
    executables: ['containerd', 'containerd-shim-runc-v2', 'ctr'].map((name) => ({
      name,
      package: `github.com/containerd/containerd/v2/cmd/${name}`,
      versionArgs: [name === 'containerd-shim-runc-v2' ? '-v' : '--version'],
    })),
    tags: [
      'urfave_cli_no_docs',
      'osusergo',
      'netgo',
      'static_build',
      'no_btrfs',
      'no_zfs',
      'no_devmapper',
      withoutGrpcTrace,
    ],
    variables: { 'github.com/containerd/containerd/v2/version.Version': 'v{version}' },
  },
  {
    name: 'runc',
    module: 'github.com/opencontainers/runc',
    executables: [
      { name: 'runc', package: 'github.com/opencontainers/runc', versionArgs: ['--version'] },
    ],
    tags: ['netgo', 'osusergo', 'seccomp'],
    variables: { 'main.version': '{version}' },
    cgoPackages: ['libseccomp-dev', 'libseccomp2'],
  },
  {
    name: 'cni-plugins',
    module: 'github.com/containernetworking/plugins',
    executables: ['main/bridge', 'main/loopback', 'ipam/host-local', 'meta/portmap'].map(
      (directory) => ({
        name: directory.slice(directory.indexOf('/') + 1),
        package: `github.com/containernetworking/plugins/plugins/${directory}`,
        versionArgs: ['--version'],
      }),
    ),
    variables: {
      'github.com/containernetworking/plugins/pkg/utils/buildversion.BuildVersion': 'v{version}',
    },
  },
  {
    name: 'crictl',
    module: 'sigs.k8s.io/cri-tools',
    executables: [
      {
        name: 'crictl',
        package: 'sigs.k8s.io/cri-tools/cmd/crictl',
        versionArgs: ['--version'],
      },
    ],
    tags: [withoutGrpcTrace],
    variables: { 'sigs.k8s.io/cri-tools/pkg/version.Version': 'v{version}' },
  },
  {
    name: 'coredns',
    module: 'github.com/coredns/coredns',
    executables: [
      { name: 'coredns', package: 'github.com/coredns/coredns', versionArgs: ['-version'] },
    ],
    tags: [withoutGrpcTrace],
  },
  {
    name: 'kube-router',
    module: 'github.com/cloudnativelabs/kube-router/v2',
    executables: [
      {
        name: 'kube-router',
        package: 'github.com/cloudnativelabs/kube-router/v2/cmd/kube-router',
        versionArgs: ['--version'],
      },
    ],
    tags: [withoutGrpcTrace],
    variables: { 'github.com/cloudnativelabs/kube-router/v2/pkg/version.Version': 'v{version}' },
  },
  {
    name: 'metrics-server',
    module: 'sigs.k8s.io/metrics-server',
    executables: [
      {
        name: 'metrics-server',
        package: 'sigs.k8s.io/metrics-server/cmd/metrics-server',
        versionArgs: ['--version'],
      },
    ],
    tags: [withoutGrpcTrace],
    // As upstream, only this one: component-base decides by its version which feature gates exist, and takes 0.9 literally.
    variables: kubernetesVersionVariables(['k8s.io/client-go/pkg/version']),
  },
];

function kubernetesVersionVariables(packages: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    packages.flatMap((name) => [
      [`${name}.gitVersion`, 'v{version}'],
      [`${name}.gitMajor`, '{major}'],
      [`${name}.gitMinor`, '{minor}'],
      [`${name}.gitTreeState`, 'clean'],
      [`${name}.gitCommit`, unknownCommit],
      [`${name}.buildDate`, unknownDate],
    ]),
  );
}

/** The recipe of a wrapper module. */
export function goRecipe(name: GoComponentName): GoRecipe {
  const found = goRecipes.find((recipe) => recipe.name === name);
  if (found === undefined) throw new Error(`No recipe for ${name}`);
  return found;
}
