/** @throws RangeError for an empty list. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const upper = sorted[Math.floor(sorted.length / 2)];
  const lower = sorted[Math.ceil(sorted.length / 2) - 1];
  if (upper === undefined || lower === undefined) {
    throw new RangeError('An empty list has no median');
  }
  return (lower + upper) / 2;
}

/** The middle and both ends of several runs. */
export interface Summary {
  readonly median: number;
  readonly min: number;
  readonly max: number;
  readonly runs: number;
}

/** Undefined when nothing was measured. */
export function summarize(values: readonly number[]): Summary | undefined {
  if (values.length === 0) return undefined;
  return {
    median: median(values),
    min: Math.min(...values),
    max: Math.max(...values),
    runs: values.length,
  };
}

/** Adds up `amount` per `name`, the largest first. */
export function sumByName<T extends { readonly name: string }>(
  items: readonly T[],
  amount: (item: T) => number,
): Readonly<Record<string, number>> {
  const sums = new Map<string, number>();
  for (const item of items) sums.set(item.name, (sums.get(item.name) ?? 0) + amount(item));
  return Object.fromEntries([...sums].toSorted(([, a], [, b]) => b - a));
}

/** `after − before` per name; a name that is gone counts nothing, a new one in full. The largest first. */
export function differenceByName(
  before: Readonly<Record<string, number>>,
  after: Readonly<Record<string, number>>,
): Readonly<Record<string, number>> {
  const items = Object.entries(after).map(([name, value]) => ({
    name,
    value: value - (before[name] ?? 0),
  }));
  return sumByName(items, (item) => item.value);
}
