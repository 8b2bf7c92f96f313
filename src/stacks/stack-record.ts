import type { ObjectFailure } from './carry-out.ts';
import { describeRef } from './refs.ts';
import type {
  AppliedRecord,
  DesiredStack,
  StackEvent,
  StackOrigin,
  StackRef,
  StackStatus,
} from './types.ts';

/** What the deployer remembers of one stack. Mutable, owned by the deployer's loop. */
export interface StackRecord {
  readonly name: string;
  origin: StackOrigin;
  /** As the source gives it, to notice another one. */
  source: DesiredStack | undefined;
  /** What is to be in the cluster: the last good version, namespaces resolved. */
  desired: DesiredStack | undefined;
  /** What may be in the cluster. */
  inventory: readonly StackRef[];
  /** What the inventory in the cluster says; undefined when there is none. */
  stored: readonly StackRef[] | undefined;
  readonly applied: Map<string, AppliedRecord>;
  mayPrune: boolean;
  /** Some version of it was applied without an error since the start. */
  isApplied: boolean;
  /** Nothing is to do until the cluster or the source changes. */
  isCurrent: boolean;
  /** What is wrong with the source. */
  problem: string | undefined;
  /** What the API server refused. */
  failure: string | undefined;
  /** The message that was last told. */
  announced: string | undefined;
  attempts: number;
  /** Since when there is something of which is not known whether it is still there; clock time. */
  undecidedSince: number | undefined;
  /** Clock time of the next try. */
  retryAt: number | undefined;
}

export function newRecord(name: string, origin: StackOrigin): StackRecord {
  return {
    name,
    origin,
    source: undefined,
    desired: undefined,
    inventory: [],
    stored: undefined,
    applied: new Map(),
    mayPrune: origin === 'packaged',
    isApplied: false,
    isCurrent: false,
    problem: undefined,
    failure: undefined,
    announced: undefined,
    attempts: 0,
    undecidedSince: undefined,
    retryAt: undefined,
  };
}

export function statusOf(record: StackRecord): StackStatus {
  const message = record.problem ?? record.failure;
  return {
    name: record.name,
    origin: record.origin,
    state: message === undefined ? (record.isApplied ? 'Applied' : 'Pending') : 'Failed',
    objects: record.desired?.objects.length ?? record.inventory.length,
    ...(message === undefined ? {} : { message }),
  };
}

/** Gives the record another version to apply. */
export function setDesired(record: StackRecord, desired: DesiredStack): void {
  record.desired = desired;
  record.isCurrent = false;
  record.failure = undefined;
  record.attempts = 0;
  record.retryAt = undefined;
  const keys = new Set(desired.objects.map(({ key }) => key));
  for (const key of record.applied.keys()) if (!keys.has(key)) record.applied.delete(key);
}

/** The event for a message that has not been told yet; a stack that works again may fail with the same words again. */
export function failureEvent(record: StackRecord): StackEvent | undefined {
  const message = record.problem ?? record.failure;
  if (message === record.announced) return undefined;
  record.announced = message;
  return message === undefined ? undefined : { type: 'stack-failed', name: record.name, message };
}

/** One line for what was refused: the first, and how many more. */
export function describeFailures(failures: readonly ObjectFailure[]): string | undefined {
  const [first] = failures;
  if (first === undefined) return undefined;
  const reason = first.error.message.split('\n')[0]?.slice(0, 300) ?? '';
  const more = failures.length === 1 ? '' : ` (and ${failures.length - 1} more)`;
  return `${describeRef(first.ref)}: ${reason}${more}`;
}

const firstRetryMs = 1_000;
const maxRetryMs = 60_000;

/** Milliseconds until the next try after so many failed ones. */
export function retryDelayMs(attempts: number): number {
  return Math.min(firstRetryMs * 2 ** Math.max(0, attempts - 1), maxRetryMs);
}
