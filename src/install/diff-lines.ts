/**
 * What changes between two texts: lines with `-` and `+` before them, in the order of the text; what stays is left
 * out. Quadratic: for files of some hundred lines.
 */
export function diffLines(before: string, after: string): string[] {
  const old = before.split('\n');
  const current = after.split('\n');
  const lengths = commonLengths(old, current);
  const changes: string[] = [];
  let [i, j] = [0, 0];
  while (i < old.length || j < current.length) {
    const isSame = i < old.length && j < current.length && old[i] === current[j];
    if (isSame) {
      i += 1;
      j += 1;
    } else if (
      j >= current.length ||
      (i < old.length && at(lengths, i + 1, j) >= at(lengths, i, j + 1))
    ) {
      changes.push(`-${old[i]}`);
      i += 1;
    } else {
      changes.push(`+${current[j]}`);
      j += 1;
    }
  }
  return changes;
}

/** Length of the longest common subsequence of what follows each pair of positions. */
function commonLengths(old: readonly string[], current: readonly string[]): number[][] {
  const lengths = Array.from({ length: old.length + 1 }, () =>
    new Array<number>(current.length + 1).fill(0),
  );
  for (let i = old.length - 1; i >= 0; i -= 1) {
    for (let j = current.length - 1; j >= 0; j -= 1) {
      const row = lengths[i] ?? [];
      row[j] =
        old[i] === current[j]
          ? at(lengths, i + 1, j + 1) + 1
          : Math.max(at(lengths, i + 1, j), at(lengths, i, j + 1));
    }
  }
  return lengths;
}

function at(lengths: readonly (readonly number[])[], i: number, j: number): number {
  return lengths[i]?.[j] ?? 0;
}
