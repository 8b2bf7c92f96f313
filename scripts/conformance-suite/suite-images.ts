import { type SuiteLayer, suiteLayers } from './suite-layers.ts';
import { agnhostVersion } from './suite-programs.ts';

/** An image that tests ask for by upstream's name. */
export interface SuiteImage {
  readonly reference: string;
  /** Lowest first. */
  readonly layers: readonly SuiteLayer[];
  /** The `config` object of the OCI image configuration, without what every image has. */
  readonly config: Readonly<Record<string, unknown>>;
}

const searchPath = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
const tests = 'registry.k8s.io/e2e-test-images';

const { base, dnsTools, agnhost, kitten, nautilus, nginx, nonewprivs, sampleApiserver, etcd } =
  suiteLayers;
const agnhostLayers = [base, dnsTools, agnhost];
const agnhostConfig = {
  Entrypoint: ['/agnhost'],
  Cmd: ['pause'],
  ExposedPorts: exposed('80/tcp', '5000/tcp', '8080/tcp', '8081/tcp', '9376/tcp'),
};

/** What conformance tests run, beside pause, which is one of mini-k8s' own images. */
export const suiteImages: readonly SuiteImage[] = [
  ...[agnhostVersion, '2.55'].map((tag) => ({
    reference: `${tests}/agnhost:${tag}`,
    layers: agnhostLayers,
    config: agnhostConfig,
  })),
  { reference: `${tests}/busybox:1.37.0-2`, layers: [base], config: { Cmd: ['sh'] } },
  {
    reference: `${tests}/nginx:1.27.0-2`,
    layers: [base, nginx],
    config: {
      Cmd: ['nginx', '-g', 'daemon off;'],
      ExposedPorts: exposed('80/tcp'),
      StopSignal: 'SIGQUIT',
    },
  },
  {
    reference: `${tests}/glibc-dns-testing:2.1.1`,
    layers: [base, dnsTools],
    config: { Cmd: ['sh'] },
  },
  {
    reference: `${tests}/kitten:1.8`,
    layers: [...agnhostLayers, kitten],
    config: { ...agnhostConfig, Cmd: ['test-webserver'] },
  },
  {
    reference: `${tests}/nautilus:1.8`,
    layers: [...agnhostLayers, nautilus],
    config: { ...agnhostConfig, Cmd: ['test-webserver'] },
  },
  {
    reference: `${tests}/nonewprivs:1.4`,
    layers: [base, nonewprivs],
    config: { Cmd: ['nnp'] },
  },
  {
    reference: `${tests}/sample-apiserver:1.29.2`,
    layers: [base, sampleApiserver],
    config: { Entrypoint: ['/sample-apiserver'] },
  },
  { reference: 'registry.k8s.io/etcd:3.7.0-0', layers: [etcd], config: {} },
];

/** With the name in a label: images of the same layers would be one to containerd, and the tests count images. */
export function imageConfig({ reference, config }: SuiteImage): Readonly<Record<string, unknown>> {
  return {
    Env: [searchPath],
    WorkingDir: '/',
    ...config,
    Labels: { 'mini-k8s.io/conformance-image': reference },
  };
}

function exposed(...ports: readonly string[]): Readonly<Record<string, object>> {
  return Object.fromEntries(ports.map((port) => [port, {}]));
}
