import { findStore } from '../artifacts/inspect-store.ts';
import { type BlobProblem, verifyStore } from '../artifacts/store.ts';
import { errorCode, UserError } from '../base/errors.ts';
import type { Examination, Verdict } from './types.ts';

export interface StoreFacts {
  readonly storeDir: string;
  readonly problems: readonly BlobProblem[];
  readonly elapsedMs: number;
}

export async function examineStore(
  { paths, isRoot }: Examination,
  signal: AbortSignal,
): Promise<Verdict[]> {
  const { storeDir } = paths;
  try {
    const store = await findStore(storeDir);
    if (store === undefined) return [{ state: 'ok', what: 'there is none yet' }];
    const startedAt = performance.now();
    const problems = await verifyStore(store, signal);
    return judgeStore({ storeDir, problems, elapsedMs: performance.now() - startedAt });
  } catch (error) {
    if (!isRoot && errorCode(error) === 'EACCES') {
      return [{ state: 'skipped', why: 'it needs root' }];
    }
    if (!(error instanceof UserError)) throw error;
    const { what, why, fix = 'mini-k8s artifacts fetch --bundle FILE' } = error;
    return [{ state: 'fail', prevents: what, why, fix }];
  }
}

/** Pure. */
export function judgeStore({ storeDir, problems, elapsedMs }: StoreFacts): Verdict[] {
  const [first, ...others] = problems;
  if (first === undefined) {
    const seconds = (elapsedMs / 1000).toFixed(1);
    return [{ state: 'ok', what: `${storeDir} is sound: all of it read in ${seconds} s` }];
  }
  const more = others.length === 0 ? '' : `, and ${others.length} more`;
  return [
    {
      state: 'fail',
      prevents: `trust what is in ${storeDir}`,
      why: `${first.path}: ${first.why}${more}`,
      fix: 'mini-k8s doctor --repair, then mini-k8s artifacts fetch, or a start, which gets them again',
      repair: { type: 'discard-blobs', problems },
    },
  ];
}
