import { isDeepStrictEqual } from 'node:util';
import type { KubeObject } from '../kube-client/types.ts';

/** Who wrote what and when, and what counts writes: no content. */
const bookkeeping = new Set(['generation', 'managedFields', 'resourceVersion']);

/** Whether two versions of an object say the same, apart from their status. */
export function hasSameContent(a: KubeObject, b: KubeObject): boolean {
  return isDeepStrictEqual(contentOf(a), contentOf(b));
}

function contentOf({ status: _, ...object }: KubeObject): unknown {
  const metadata = Object.entries(object.metadata).filter(([field]) => !bookkeeping.has(field));
  return { ...object, metadata: Object.fromEntries(metadata) };
}
