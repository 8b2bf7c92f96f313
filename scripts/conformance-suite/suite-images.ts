import { imageReference } from '../../src/artifacts/catalog.ts';
import { type SuiteLayer, suiteLayers } from './suite-layers.ts';
import { agnhostVersion } from './suite-programs.ts';

/** An image of upstream's tests. */
export interface UpstreamImage {
  /** In upstream's code. */
  readonly upstreamName: string;
  readonly reference: string;
}

/** An image that is made here, for tests that ask for it by upstream's reference. */
export interface SuiteImage extends UpstreamImage {
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

/** What conformance tests run, beside pause. */
export const suiteImages: readonly SuiteImage[] = [
  {
    upstreamName: 'Agnhost',
    reference: `${tests}/agnhost:${agnhostVersion}`,
    layers: agnhostLayers,
    config: agnhostConfig,
  },
  // Tests update pods from this one to the other and back; they need another name, not another content.
  {
    upstreamName: 'AgnhostPrev',
    reference: `${tests}/agnhost:2.55`,
    layers: agnhostLayers,
    config: agnhostConfig,
  },
  {
    upstreamName: 'BusyBox',
    reference: `${tests}/busybox:1.37.0-2`,
    layers: [base],
    config: { Cmd: ['sh'] },
  },
  {
    upstreamName: 'Nginx',
    reference: `${tests}/nginx:1.27.0-2`,
    layers: [base, nginx],
    config: {
      Cmd: ['nginx', '-g', 'daemon off;'],
      ExposedPorts: exposed('80/tcp'),
      StopSignal: 'SIGQUIT',
    },
  },
  {
    upstreamName: 'GlibcDnsTesting',
    reference: `${tests}/glibc-dns-testing:2.1.1`,
    layers: [base, dnsTools],
    config: { Cmd: ['sh'] },
  },
  {
    upstreamName: 'Kitten',
    reference: `${tests}/kitten:1.8`,
    layers: [...agnhostLayers, kitten],
    config: { ...agnhostConfig, Cmd: ['test-webserver'] },
  },
  {
    upstreamName: 'Nautilus',
    reference: `${tests}/nautilus:1.8`,
    layers: [...agnhostLayers, nautilus],
    config: { ...agnhostConfig, Cmd: ['test-webserver'] },
  },
  {
    upstreamName: 'Nonewprivs',
    reference: `${tests}/nonewprivs:1.4`,
    layers: [base, nonewprivs],
    config: { Cmd: ['nnp'] },
  },
  {
    upstreamName: 'APIServer',
    reference: `${tests}/sample-apiserver:1.29.2`,
    layers: [base, sampleApiserver],
    config: { Entrypoint: ['/sample-apiserver'] },
  },
  // The test runs /usr/local/bin/etcd, without a directory for its data: it is in `WorkingDir`.
  { upstreamName: 'Etcd', reference: 'registry.k8s.io/etcd:3.7.0-0', layers: [etcd], config: {} },
];

/** One of mini-k8s' own images: in every bundle, so not made here. */
export const pauseImage: UpstreamImage = {
  upstreamName: 'Pause',
  reference: imageReference('pause'),
};

/** Upstream's names of the images that no conformance test asks for. */
export const otherImages: readonly string[] = [
  ...['AgnhostPrivate', 'AppArmorLoader', 'DistrolessIptables', 'InvalidRegistryImage', 'IpcUtils'],
  ...['NFSProvisioner', 'NginxNew', 'NodePerfNpbEp', 'NodePerfNpbIs', 'NodePerfPytorchWideDeep'],
  ...['NonRoot', 'Perl', 'RegressionIssue74839', 'ResourceConsumer', 'SampleDevicePlugin'],
  ...['VolumeISCSIServer', 'VolumeNFSServer'],
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
