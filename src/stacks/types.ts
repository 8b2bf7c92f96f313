import type { KubeObject } from '../kube-client/types.ts';

/** A named set of objects that is applied, kept, and pruned as one. */
export interface ManifestStack {
  /** DNS-1123 label; the value of the label `mini-k8s.io/stack`. */
  readonly name: string;
  readonly objects: readonly KubeObject[];
}

/** `packaged` from this program, `user` from `<dataDir>/manifests/<name>/`. */
export type StackOrigin = 'packaged' | 'user';

export interface StackStatus {
  readonly name: string;
  readonly origin: StackOrigin;
  readonly state: 'Pending' | 'Applied' | 'Failed';
  readonly objects: number;
  /** What is wrong, one line; with state Failed. */
  readonly message?: string;
}

export type StackEvent =
  | {
      readonly type: 'stack-applied';
      readonly name: string;
      readonly changed: number;
      readonly pruned: number;
    }
  | { readonly type: 'stack-drift-repaired'; readonly name: string; readonly object: string }
  | { readonly type: 'stack-deleted'; readonly name: string }
  | { readonly type: 'stack-failed'; readonly name: string; readonly message: string };

/** Which object is meant, whatever version of its group is used to write it. */
export interface StackRef {
  readonly apiVersion: string;
  readonly kind: string;
  readonly name: string;
  /** Only for namespaced kinds. */
  readonly namespace?: string;
}

/** One object of a stack, ready to be sent. */
export interface DesiredObject {
  readonly ref: StackRef;
  /** `refKey(ref)`. */
  readonly key: string;
  /** The object as JSON with the stack's label: a string takes a third of the memory of the object. */
  readonly body: string;
}

/** A stack's objects in the order in which they are applied. */
export interface DesiredStack {
  readonly name: string;
  readonly origin: StackOrigin;
  readonly objects: readonly DesiredObject[];
}

/** What the API server has under a stack's label. */
export interface LiveObject {
  readonly ref: StackRef;
  /** Value of the label `mini-k8s.io/stack`. */
  readonly stack: string;
  readonly uid: string;
  readonly resourceVersion: string;
  /** When the field manager `mini-k8s` last changed something, as the server says. */
  readonly appliedAt: string | undefined;
}

/** What an object was when it was last applied: as long as the server says the same, nothing is to do. */
export interface AppliedRecord {
  readonly body: string;
  readonly uid: string;
  readonly resourceVersion: string;
}
