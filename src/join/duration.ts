import { UserError } from '../base/errors.ts';

const unitsMs: Readonly<Record<string, number>> = {
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** A token is a password: short enough to be forgotten safely, long enough for a card to be flashed and posted. */
const maxTtlMs = 30 * 86_400_000;
const minTtlMs = 60_000;

/** How long a token lives unless told otherwise. */
export const defaultTtlMs = 3_600_000;

/**
 * `1h`, `90m`, `7d`, `1d12h` as milliseconds.
 * @throws UserError for anything else, and for less than a minute or more than 30 days.
 */
export function parseTtl(text: string): number {
  const ttlMs = parseDuration(text);
  if (ttlMs === undefined) throw refusal(text, 'it is not a duration such as 30m, 1h or 7d');
  if (ttlMs < minTtlMs) throw refusal(text, 'it is shorter than one minute');
  if (ttlMs > maxTtlMs) throw refusal(text, 'it is longer than 30 days');
  return ttlMs;
}

/** `90s`, `1h`, `1d12h` as milliseconds; undefined for anything else. */
export function parseDuration(text: string): number | undefined {
  const parts = [...text.matchAll(/(\d{1,6})([smhd])/g)];
  const isWhole = text !== '' && parts.map(([part]) => part).join('') === text;
  if (!isWhole) return undefined;
  return parts.reduce((sum, [, n, unit = '']) => sum + Number(n) * (unitsMs[unit] ?? 0), 0);
}

/** `59m`, `1h`, `6d 23h`: the two largest units, rounded down; `0s` and less is `now`. */
export function renderDuration(durationMs: number): string {
  let rest = Math.floor(durationMs / 1000) * 1000;
  if (rest <= 0) return 'now';
  const words: string[] = [];
  for (const [unit, sizeMs] of Object.entries(unitsMs).toReversed()) {
    const count = Math.floor(rest / sizeMs);
    rest -= count * sizeMs;
    if (count > 0) words.push(`${count}${unit}`);
    else if (words.length > 0) break;
    if (words.length === 2) break;
  }
  return words.join(' ');
}

function refusal(text: string, why: string): UserError {
  return new UserError({
    what: `give the token the life ${JSON.stringify(text.slice(0, 40))}`,
    why,
    fix: 'use --ttl with 1m to 30d, such as 30m, 1h or 7d',
  });
}
