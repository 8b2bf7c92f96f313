import type { ImageName } from '../../src/artifacts/catalog.ts';
import type { GoComponentName } from './go-recipes.ts';

/** How an image is put together. Its reference comes from the catalog, or is given here for images of tests. */
export interface ImageRecipe {
  readonly name: ImageName | 'busybox';
  /** For an image that is not in the catalog: it goes into the test bundle. */
  readonly testReference?: string;
  readonly parts: readonly ImagePart[];
  /** The `config` object of the OCI image configuration. */
  readonly config: Readonly<Record<string, unknown>>;
}

/** What goes into an image's only layer. Paths are absolute; parent directories come by themselves. */
export type ImagePart =
  /** An executable of one of `goRecipes`. */
  | { readonly kind: 'go'; readonly component: GoComponentName; readonly path: string }
  /** A C program without a C library, source relative to scripts/components. */
  | { readonly kind: 'c'; readonly source: string; readonly path: string }
  /** An executable of a Debian package with its shared libraries and loader, at the path that it has there. */
  | { readonly kind: 'debian-executable'; readonly package: string; readonly name: string }
  /** All files of `usr/lib/<triplet>/<directory>` of a Debian package, with the libraries they need. */
  | { readonly kind: 'debian-plugins'; readonly package: string; readonly directory: string }
  /** The bundle of CA certificates, which is the same for every architecture. */
  | { readonly kind: 'ca-certificates' }
  | { readonly kind: 'directory'; readonly path: string; readonly mode: number }
  | { readonly kind: 'text'; readonly path: string; readonly content: string }
  | { readonly kind: 'links'; readonly target: string; readonly paths: readonly string[] };

const searchPath = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

const iptablesNames = ['iptables', 'ip6tables'].flatMap((name) =>
  ['', '-save', '-restore'].flatMap((suffix) => [`${name}${suffix}`, `${name}-nft${suffix}`]),
);

export const imageRecipes: readonly ImageRecipe[] = [
  {
    name: 'pause',
    parts: [{ kind: 'c', source: 'pause/pause.c', path: '/pause' }],
    config: { Entrypoint: ['/pause'], Env: [searchPath], User: '65535:65535', WorkingDir: '/' },
  },
  {
    name: 'coredns',
    parts: [{ kind: 'go', component: 'coredns', path: '/coredns' }, { kind: 'ca-certificates' }],
    // No user: the pod's securityContext decides, and root with NET_BIND_SERVICE alone needs no file capability.
    config: { Entrypoint: ['/coredns'], Env: [searchPath], WorkingDir: '/' },
  },
  {
    name: 'kube-router',
    parts: [
      { kind: 'go', component: 'kube-router', path: '/usr/local/bin/kube-router' },
      { kind: 'debian-executable', package: 'iptables', name: 'xtables-nft-multi' },
      { kind: 'debian-plugins', package: 'iptables', directory: 'xtables' },
      { kind: 'debian-executable', package: 'ipset', name: 'ipset' },
      { kind: 'debian-executable', package: 'nftables', name: 'nft' },
      { kind: 'debian-executable', package: 'iproute2', name: 'ip' },
      { kind: 'debian-executable', package: 'conntrack', name: 'conntrack' },
      { kind: 'debian-executable', package: 'dash', name: 'dash' },
      { kind: 'debian-executable', package: 'busybox-static', name: 'busybox' },
      {
        kind: 'links',
        target: 'xtables-nft-multi',
        paths: iptablesNames.map((name) => `/usr/sbin/${name}`),
      },
      { kind: 'links', target: 'dash', paths: ['/usr/bin/sh'] },
      {
        kind: 'links',
        target: 'busybox',
        // What an init container or `kubectl exec` wants. The shell is dash: busybox' would prefer its own `ip`.
        paths: ['cat', 'cp', 'ls', 'mkdir', 'mv', 'ps', 'rm', 'sleep'].map(
          (name) => `/usr/bin/${name}`,
        ),
      },
      // kube-router appends its routing tables to this file, and fails when there is none.
      {
        kind: 'text',
        path: '/etc/iproute2/rt_tables',
        content: '255\tlocal\n254\tmain\n253\tdefault\n0\tunspec\n',
      },
      { kind: 'directory', path: '/tmp', mode: 0o1777 },
      { kind: 'directory', path: '/run', mode: 0o755 },
    ],
    config: { Entrypoint: ['/usr/local/bin/kube-router'], Env: [searchPath], WorkingDir: '/' },
  },
  {
    name: 'metrics-server',
    parts: [
      { kind: 'go', component: 'metrics-server', path: '/metrics-server' },
      { kind: 'ca-certificates' },
      { kind: 'directory', path: '/tmp', mode: 0o1777 },
    ],
    config: { Entrypoint: ['/metrics-server'], Env: [searchPath], WorkingDir: '/' },
  },
  {
    name: 'busybox',
    testReference: 'mini-k8s.io/test/busybox:1',
    parts: [
      { kind: 'debian-executable', package: 'busybox-static', name: 'busybox' },
      {
        kind: 'links',
        target: 'busybox',
        paths: [
          'awk',
          'cat',
          'date',
          'dd',
          'echo',
          'env',
          'false',
          'grep',
          'head',
          'hostname',
          'httpd',
          'id',
          'ifconfig',
          'ip',
          'kill',
          'ls',
          'mkdir',
          'mv',
          'nc',
          'nslookup',
          'ping',
          'printf',
          'ps',
          'rm',
          'sed',
          'seq',
          'sh',
          'sha256sum',
          'sleep',
          'sort',
          'stat',
          'sync',
          'tail',
          'test',
          'touch',
          'tr',
          'traceroute',
          'true',
          'uname',
          'wc',
          'wget',
          'yes',
        ].map((name) => `/usr/bin/${name}`),
      },
      { kind: 'text', path: '/etc/passwd', content: 'root:x:0:0:root:/:/bin/sh\n' },
      { kind: 'text', path: '/etc/group', content: 'root:x:0:\n' },
      { kind: 'directory', path: '/tmp', mode: 0o1777 },
      { kind: 'directory', path: '/www', mode: 0o755 },
    ],
    config: { Cmd: ['/bin/sh'], Env: [searchPath], WorkingDir: '/' },
  },
];
