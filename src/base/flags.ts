/** One flag's value: `undefined` leaves the flag out, a list is joined with commas. */
export type FlagValue = string | number | boolean | readonly string[] | undefined;

/**
 * Renders flags as `--name=value`, sorted by name, so that a plan is the same on every run.
 * An empty list leaves the flag out; an empty string keeps it (`--tls-cipher-suites=`).
 */
export function renderFlags(flags: Readonly<Record<string, FlagValue>>): string[] {
  return Object.entries(flags)
    .filter(([, value]) => value !== undefined && !(Array.isArray(value) && value.length === 0))
    .sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
    .map(([name, value]) => `--${name}=${Array.isArray(value) ? value.join(',') : String(value)}`);
}
