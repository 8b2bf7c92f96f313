/** Repeatable choices. */
export interface Random {
  /** In [0, 1). */
  next(): number;
  /** From `least` up to, and without, `end`. */
  integer(least: number, end: number): number;
  pick<T>(choices: readonly [T, ...T[]]): T;
}

/** Mulberry32: small, and good enough to vary a test. */
export function createRandom(seed: number): Random {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const integer = (least: number, end: number) => least + Math.floor(next() * (end - least));
  return {
    next,
    integer,
    pick: (choices) => choices[integer(0, choices.length)] ?? choices[0],
  };
}
