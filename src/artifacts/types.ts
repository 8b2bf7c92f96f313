/** The words a person sees for machine kinds. */
export type Architecture = 'amd64' | 'arm64';

/** What a node needs of one component: executables to link into a directory, or an image to import. */
export type ArtifactSpec = ExecutableArtifact | ImageArtifact;

export interface ExecutableArtifact {
  readonly kind: 'executable';
  /** Component name: `kubernetes`, `etcd`, `containerd`, `runc`, `cni-plugins`, `crictl`. */
  readonly name: string;
  /** Without a leading v: `1.37.1`. */
  readonly version: string;
  readonly arch: Architecture;
  readonly members: readonly ExecutableMember[];
}

export interface ExecutableMember {
  /** Title of the layer that holds it: `kube-apiserver`. */
  readonly name: string;
  /** Absolute path of the hard link (or copy, across file systems) that the engine makes. */
  readonly path: string;
}

export interface ImageArtifact {
  readonly kind: 'image';
  /** Full reference: `registry.k8s.io/pause:3.10.2`. */
  readonly reference: string;
  readonly arch: Architecture;
}

/** An OCI content descriptor. @see https://github.com/opencontainers/image-spec/blob/v1.1.1/descriptor.md */
export interface Descriptor {
  readonly mediaType: string;
  /** `sha256:<64 hex digits>`. */
  readonly digest: string;
  readonly size: number;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly platform?: { readonly os: string; readonly architecture: string };
  readonly artifactType?: string;
}

export interface OciIndex {
  readonly schemaVersion: 2;
  readonly mediaType?: string;
  readonly manifests: readonly Descriptor[];
  readonly annotations?: Readonly<Record<string, string>>;
}

export interface OciManifest {
  readonly schemaVersion: 2;
  readonly mediaType?: string;
  readonly artifactType?: string;
  readonly config: Descriptor;
  readonly layers: readonly Descriptor[];
  readonly annotations?: Readonly<Record<string, string>>;
}

/** Where blobs come from when the store does not have them: bundles, mirrors, controllers, upstream. */
export interface ArtifactSource {
  /** For messages: `bundle /media/usb/bundle.tar.zst`. */
  readonly description: string;
  /** Its failure is an error only when no later source has what is lacking. False for what the user points at. */
  readonly mayFail?: boolean;
  /**
   * Puts what it has of these artifacts into the store, nothing else.
   * @returns what it has instead, for the message about an artifact that no source has: `kubernetes 1.36.4 (amd64)`.
   * @throws UserError when the source is damaged or not trusted.
   */
  provide(artifacts: readonly ArtifactSpec[], signal: AbortSignal): Promise<readonly string[]>;
}

export type ArtifactEvent =
  | { readonly type: 'import-started'; readonly source: string; readonly totalBytes: number }
  | {
      readonly type: 'import-progress';
      readonly source: string;
      /** Bytes read of the source, up to `totalBytes`. */
      readonly doneBytes: number;
      readonly totalBytes: number;
    }
  | {
      readonly type: 'import-finished';
      readonly source: string;
      /** Blobs written; those that the store had already do not count. */
      readonly blobs: number;
      readonly elapsedMs: number;
    }
  | {
      readonly type: 'linked';
      readonly name: string;
      readonly path: string;
      readonly how: 'hard-link' | 'copy';
    }
  | {
      /** A download goes on after a pause. */
      readonly type: 'import-waiting';
      readonly source: string;
      /** `10.0.0.4:9443 did not answer within 10 s`. */
      readonly why: string;
      readonly retryInMs: number;
    }
  | {
      /** A source gave up on something that can do without: an image that containerd pulls. */
      readonly type: 'source-failed';
      readonly source: string;
      readonly why: string;
    }
  | { readonly type: 'image-missing'; readonly reference: string }
  /** No source has what a controller would serve to others: `kubernetes 1.37.1 (amd64)`. */
  | { readonly type: 'unserved'; readonly name: string }
  | {
      readonly type: 'images-imported';
      readonly references: readonly string[];
      readonly elapsedMs: number;
    };
