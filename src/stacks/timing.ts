/** All in milliseconds. */
export interface DeployerTiming {
  /** Between two looks at the manifests directory, which is watched besides. */
  readonly rescanMs: number;
  /** Between two looks at what the cluster has. */
  readonly driftMs: number;
  /** User manifests are read when they have been the same for this long. */
  readonly settleMs: number;
  /** What left the user's manifests is deleted when it has been absent for this long. */
  readonly pruneAfterMs: number;
  /** A kind that is not served for this long has no objects any more: until then its definition may be on its way. */
  readonly unservedAfterMs: number;
}

export const defaultTiming: DeployerTiming = {
  rescanMs: 10_000,
  driftMs: 45_000,
  settleMs: 1_000,
  pruneAfterMs: 10_000,
  unservedAfterMs: 60_000,
};
