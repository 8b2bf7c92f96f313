/**
 * Names of the formats inside a layout.
 * @see https://github.com/opencontainers/image-spec/blob/v1.1.1/media-types.md
 */
export const mediaTypes = {
  index: 'application/vnd.oci.image.index.v1+json',
  manifest: 'application/vnd.oci.image.manifest.v1+json',
  imageConfig: 'application/vnd.oci.image.config.v1+json',
  layerTar: 'application/vnd.oci.image.layer.v1.tar',
  layerTarGzip: 'application/vnd.oci.image.layer.v1.tar+gzip',
  layerTarZstd: 'application/vnd.oci.image.layer.v1.tar+zstd',
  /** Config of a manifest that needs none: the two bytes `{}`. */
  empty: 'application/vnd.oci.empty.v1+json',
  /** What `docker save` and older registries write; same shape as `manifest`. */
  dockerManifest: 'application/vnd.docker.distribution.manifest.v2+json',
  /** The same of an index. */
  dockerIndex: 'application/vnd.docker.distribution.manifest.list.v2+json',
  /** `artifactType` of a component: executables of one upstream release for one architecture. */
  component: 'application/vnd.mini-k8s.component.v1',
  /** One executable, raw and uncompressed, so that a file in bin/ can be a hard link to the blob. */
  executable: 'application/vnd.mini-k8s.executable.v1',
  /** `artifactType` of a stack: Kubernetes objects that ride along in a bundle. */
  manifests: 'application/vnd.mini-k8s.manifests.v1',
  /** One file of a stack, YAML or JSON. */
  manifestFile: 'application/yaml',
} as const;

/** @see https://github.com/opencontainers/image-spec/blob/v1.1.1/annotations.md */
export const annotations = {
  /** On an index entry: `etcd:3.7.1` for a component, the full reference for an image, `manifests/web` for a stack. */
  refName: 'org.opencontainers.image.ref.name',
  /** On a layer of a component or a stack: the file name. */
  title: 'org.opencontainers.image.title',
  /** On an index entry: the name that `ctr images import` gives the image. */
  containerdImageName: 'io.containerd.image.name',
  /** On a layer of a component: `sha256:…` of the archive that the executable was taken out of. */
  archive: 'mini-k8s.io/archive',
  /** On a component's index entry: `source` or `upstream`. */
  builtFrom: 'mini-k8s.io/built-from',
  /** On an entry of a store's index that came along with a bundle: the newest one has it no more. */
  leftBehind: 'mini-k8s.io/left-behind',
} as const;

/** Who compiled a component: `upstream` = the project's own release, `source` = scripts/build-components. */
export type BuiltFrom = 'source' | 'upstream';
