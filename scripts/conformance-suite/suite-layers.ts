import type { ImagePart } from '../components/image-recipes.ts';
import type { SuiteProgramName } from './suite-programs.ts';

/** One layer, which several images may have. */
export interface SuiteLayer {
  readonly name: string;
  readonly parts: readonly SuitePart[];
}

export type SuitePart =
  | Exclude<ImagePart, { readonly kind: 'c' }>
  /** A program of the suite; `mode` only where it is not 0755. */
  | {
      readonly kind: 'program';
      readonly program: SuiteProgramName;
      readonly path: string;
      readonly mode?: number;
    }
  /** A file of the module that the suite is built from, as upstream copies it into its image. */
  | { readonly kind: 'upstream'; readonly file: string; readonly path: string }
  /** busybox and a link for each of its applets. */
  | { readonly kind: 'busybox' };

const users = [
  'root:x:0:0:root:/root:/bin/sh',
  'daemon:x:1:1:daemon:/usr/sbin:/bin/false',
  'bin:x:2:2:bin:/bin:/bin/false',
  'www-data:x:33:33:www-data:/var/www:/bin/false',
  'nginx:x:101:101:nginx:/var/cache/nginx:/bin/false',
  'nobody:x:65534:65534:nobody:/home:/bin/false',
];
const groups = [
  'root:x:0:',
  'daemon:x:1:',
  'bin:x:2:',
  'tty:x:5:',
  'www-data:x:33:',
  'nginx:x:101:',
  'users:x:100:',
  'nobody:x:65534:',
];

/** The layers below, lowest first, are under all images but that of etcd: Debian's files are glibc's, as in upstream's busybox. */
const base: SuiteLayer = {
  name: 'base',
  parts: [
    { kind: 'busybox' },
    // Everything is under /usr, as Debian has it, so that layers of its files can lie above this one.
    ...['bin', 'sbin', 'lib', 'lib64'].map(
      (name): SuitePart => ({ kind: 'links', target: `usr/${name}`, paths: [`/${name}`] }),
    ),
    ...['usr/sbin', 'usr/lib', 'usr/lib64', 'usr/local/bin', 'home', 'root', 'var/www'].map(
      (name): SuitePart => ({ kind: 'directory', path: `/${name}`, mode: 0o755 }),
    ),
    ...['tmp', 'var/tmp'].map(
      (name): SuitePart => ({ kind: 'directory', path: `/${name}`, mode: 0o1777 }),
    ),
    lines('/etc/passwd', users),
    lines('/etc/group', groups),
    lines('/etc/nsswitch.conf', ['passwd: files', 'group: files', 'hosts: files dns']),
  ],
};

const dnsTools: SuiteLayer = {
  name: 'dns-tools',
  parts: [
    ...['dig', 'host', 'nslookup'].map(
      (name): SuitePart => ({
        kind: 'debian-executable',
        package: name === 'host' ? 'bind9-host' : 'bind9-dnsutils',
        name,
      }),
    ),
    { kind: 'debian-executable', package: 'libc-bin', name: 'getent' },
  ],
};

const agnhost: SuiteLayer = {
  name: 'agnhost',
  parts: [
    { kind: 'program', program: 'agnhost', path: '/agnhost' },
    // Tests of the entry point start the same program by this name.
    { kind: 'links', target: 'agnhost', paths: ['/agnhost-2'] },
    { kind: 'debian-executable', package: 'curl', name: 'curl' },
    { kind: 'debian-executable', package: 'netcat-openbsd', name: 'nc.openbsd' },
    { kind: 'links', target: 'nc.openbsd', paths: ['/usr/bin/nc'] },
    { kind: 'debian-executable', package: 'iproute2', name: 'ip' },
    { kind: 'debian-executable', package: 'iproute2', name: 'ss' },
    { kind: 'debian-executable', package: 'iperf', name: 'iperf' },
    { kind: 'links', target: '/usr/bin/iperf', paths: ['/usr/local/bin/iperf'] },
    { kind: 'debian-executable', package: 'bash', name: 'bash' },
    { kind: 'debian-executable', package: 'util-linux', name: 'ipcs' },
    { kind: 'debian-executable', package: 'socat', name: 'socat' },
    { kind: 'ca-certificates' },
    { kind: 'directory', path: '/uploads', mode: 0o755 },
    ...['crt', 'key'].map(
      (suffix): SuitePart => ({
        kind: 'upstream',
        file: `test/images/agnhost/porter/localhost.${suffix}`,
        path: `/localhost.${suffix}`,
      }),
    ),
    // A test of supplemental groups looks for these two, by number.
    lines('/etc/passwd', [
      ...users,
      'user-defined-in-image:x:1000:1000::/home/user-defined-in-image:/bin/sh',
    ]),
    lines('/etc/group', [
      ...groups,
      'user-defined-in-image:x:1000:',
      'group-defined-in-image:x:50000:user-defined-in-image',
    ]),
    { kind: 'directory', path: '/home/user-defined-in-image', mode: 0o755 },
  ],
};

const kitten: SuiteLayer = {
  name: 'kitten',
  parts: [
    ...pets('kitten'),
    // A test mounts this image and looks for the words: upstream's is built on that distribution, this one is not.
    lines('/etc/os-release', ['NAME="mini-k8s"', 'PRETTY_NAME="in the place of Alpine Linux"']),
  ],
};

const nautilus: SuiteLayer = { name: 'nautilus', parts: pets('nautilus') };

const nginx: SuiteLayer = {
  name: 'nginx',
  parts: [
    { kind: 'debian-executable', package: 'nginx', name: 'nginx' },
    lines('/etc/nginx/nginx.conf', [
      'user nginx;',
      'worker_processes 1;',
      'pid /run/nginx.pid;',
      'error_log /dev/stderr notice;',
      'events {}',
      'http {',
      '  types { text/html html; text/css css; application/json json; text/plain txt; }',
      '  default_type application/octet-stream;',
      '  access_log /dev/stdout;',
      '  server {',
      '    listen 80;',
      '    server_name localhost;',
      '    location / { root /usr/share/nginx/html; index index.html; }',
      '  }',
      '}',
    ]),
    lines('/usr/share/nginx/html/index.html', [
      '<!DOCTYPE html>',
      '<html><head><title>Welcome to nginx!</title></head>',
      '<body><h1>Welcome to nginx!</h1></body></html>',
    ]),
    ...['/var/lib/nginx', '/var/cache/nginx', '/run'].map(
      (path): SuitePart => ({ kind: 'directory', path, mode: 0o755 }),
    ),
  ],
};

const nonewprivs: SuiteLayer = {
  name: 'nonewprivs',
  // What the test is about: whether these bits count.
  parts: [{ kind: 'program', program: 'nnp', path: '/usr/local/bin/nnp', mode: 0o6755 }],
};

const sampleApiserver: SuiteLayer = {
  name: 'sample-apiserver',
  parts: [{ kind: 'program', program: 'sample-apiserver', path: '/sample-apiserver' }],
};

const etcd: SuiteLayer = {
  name: 'etcd',
  parts: [
    { kind: 'go', component: 'etcd', path: '/usr/local/bin/etcd' },
    { kind: 'directory', path: '/tmp', mode: 0o1777 },
    { kind: 'directory', path: '/var/lib/etcd', mode: 0o700 },
  ],
};

/** All layers, by what is in them. */
export const suiteLayers = {
  base,
  dnsTools,
  agnhost,
  kitten,
  nautilus,
  nginx,
  nonewprivs,
  sampleApiserver,
  etcd,
} as const satisfies Readonly<Record<string, SuiteLayer>>;

/** A picture and a few bytes of data, by which tests tell which of two versions answers. */
function pets(name: string): readonly SuitePart[] {
  return [`${name}.jpg`, 'data.json'].map((file) => ({
    kind: 'upstream',
    file: `test/images/${name}/html/${file}`,
    path: `/${file}`,
  }));
}

function lines(path: string, content: readonly string[]): SuitePart {
  return { kind: 'text', path, content: `${content.join('\n')}\n` };
}
