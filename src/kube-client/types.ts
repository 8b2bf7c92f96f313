/** Any Kubernetes object, as data. */
export interface KubeObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: ObjectMeta;
  readonly [field: string]: unknown;
}

/** The part of ObjectMeta that this program reads or writes. */
export interface ObjectMeta {
  readonly name: string;
  readonly namespace?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly uid?: string;
  readonly resourceVersion?: string;
  readonly creationTimestamp?: string;
  readonly deletionTimestamp?: string;
  readonly [field: string]: unknown;
}

/** A kind of object with its place in the API: `{apiVersion: 'apps/v1', plural: 'deployments', namespaced: true}`. */
export interface ResourceType {
  readonly apiVersion: string;
  readonly kind: string;
  readonly plural: string;
  readonly namespaced: boolean;
}

/** One object, by name. `namespace` only for namespaced resources. */
export interface ObjectRef {
  readonly resource: ResourceType;
  readonly name: string;
  readonly namespace?: string;
}

export interface ListOptions {
  readonly namespace?: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
  /** Ask for the metadata only (PartialObjectMetadata): a fraction of the bytes. */
  readonly metadataOnly?: boolean;
  readonly signal?: AbortSignal;
}

export interface KubeList<T extends KubeObject> {
  readonly items: readonly T[];
  readonly resourceVersion: string;
}

export type WatchEvent<T extends KubeObject> =
  | { readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'; readonly object: T }
  | { readonly type: 'BOOKMARK'; readonly resourceVersion: string };

export interface WatchOptions extends ListOptions {
  readonly resourceVersion: string;
}

/**
 * What `watchResource` yields. `SYNCED` is the whole truth at that moment: it replaces all that was known before,
 * so what is not in it was deleted.
 */
export type ResourceEvent<T extends KubeObject> =
  | { readonly type: 'SYNCED'; readonly items: readonly T[] }
  | { readonly type: 'ADDED' | 'MODIFIED' | 'DELETED'; readonly object: T };

export interface WatchResourceOptions extends ListOptions {
  readonly signal: AbortSignal;
  /** Told of each error that is retried, with the delay before the next try, milliseconds. */
  readonly onError?: (error: unknown, retryInMs: number) => void;
}

export interface ApplyOptions {
  readonly fieldManager: string;
  /** Take over fields that others own; true for packaged objects. */
  readonly force: boolean;
  readonly dryRun?: boolean;
  readonly signal?: AbortSignal;
}

export interface PatchOptions {
  readonly type: 'merge' | 'json' | 'strategic';
  readonly subresource?: string;
  readonly fieldManager?: string;
  readonly signal?: AbortSignal;
}

/**
 * A thin client of the Kubernetes API over one TLS agent. Every call that the server refuses throws
 * `KubeApiError` with the Status' code, reason and message; without an answer `KubeConnectionError`;
 * aborted, the signal's reason. `create`, `apply` and `replace` find the resource by discovery (cached) and put a
 * namespaced object without a namespace into `default`.
 */
export interface KubeClient {
  /** The object, or undefined when there is none (404). */
  get<T extends KubeObject>(ref: ObjectRef, signal?: AbortSignal): Promise<T | undefined>;
  list<T extends KubeObject>(resource: ResourceType, options?: ListOptions): Promise<KubeList<T>>;
  /** Server-side apply. The resource type is found by discovery (cached); throws for an unknown kind. */
  apply<T extends KubeObject>(object: KubeObject, options: ApplyOptions): Promise<T>;
  create<T extends KubeObject>(object: KubeObject, signal?: AbortSignal): Promise<T>;
  /** PUT, optionally on a subresource such as `approval` or `status`. */
  replace<T extends KubeObject>(
    object: KubeObject,
    subresource?: string,
    signal?: AbortSignal,
  ): Promise<T>;
  patch<T extends KubeObject>(ref: ObjectRef, body: unknown, options: PatchOptions): Promise<T>;
  /**
   * Deletes in the background; a missing object is no error (returns false).
   * With `preconditions` a replaced or changed object is refused with 409.
   */
  delete(
    ref: ObjectRef,
    signal?: AbortSignal,
    preconditions?: { readonly uid?: string; readonly resourceVersion?: string },
  ): Promise<boolean>;
  /** Ends when the server closes the stream or the signal aborts; throws KubeApiError 410 when the version is gone. */
  watch<T extends KubeObject>(
    resource: ResourceType,
    options: WatchOptions,
  ): AsyncIterable<WatchEvent<T>>;
  /** The resource type of a kind, by discovery; undefined when the server does not serve it. */
  discover(
    apiVersion: string,
    kind: string,
    signal?: AbortSignal,
  ): Promise<ResourceType | undefined>;
  /** Any GET that answers JSON: `/version`, `/readyz?verbose` is text and not for this. */
  getJson<T>(path: string, signal?: AbortSignal): Promise<T>;
  /** Closes idle connections. */
  close(): void;
}
