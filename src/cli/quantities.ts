/** `4.2 ms`, `120 ms`; empty for what was not measured. */
export function milliseconds(value: number | undefined): string {
  return value === undefined ? '' : `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`;
}

const units = ['B', 'kB', 'MB', 'GB', 'TB'] as const;

/** `812 B`, `1.2 kB`, `340 MB`: units of a thousand, as of networks. */
export function byteCount(bytes: number): string {
  let value = bytes;
  let unit = 0;
  // What would be rounded to 1000 is 1.0 of the next unit.
  while (Math.round(value) >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  const text = unit === 0 || value >= 9.95 ? String(Math.round(value)) : value.toFixed(1);
  return `${text} ${units[unit]}`;
}
