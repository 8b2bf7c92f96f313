/**
 * V8 keeps a source with one character beyond Latin-1 in two bytes a character: 1.5 MB more in every process. esbuild
 * escapes such characters in strings, and leaves them in regular expressions.
 * @throws Error with the place.
 */
export function requireAscii(code: string): void {
  const at = code.search(/[^\0-\x7f]/);
  if (at === -1) return;
  const place = code.slice(Math.max(0, at - 40), at + 20);
  throw new Error(`the bundle would take twice the memory: write ${code[at]} as \\u…: ${place}`);
}
