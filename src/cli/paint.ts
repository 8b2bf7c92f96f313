import type { OutputStream } from './streams.ts';

const codes = { red: 31, green: 32, yellow: 33, dim: 2, bold: 1 } as const;

/** Colours text for a terminal; leaves it alone elsewhere, and where NO_COLOR is set. */
export function paint(stream: OutputStream, colour: keyof typeof codes, text: string): string {
  const isPlain = stream.isTTY !== true || (process.env.NO_COLOR ?? '') !== '';
  return isPlain ? text : `\u001b[${codes[colour]}m${text}\u001b[0m`;
}
