import { expect, test } from 'vitest';
import { requireAscii } from '../../../scripts/build/require-ascii.ts';

test('a character that doubles the memory of the bundle is refused, with its place', () => {
  expect(() => requireAscii('const a = "\\u2713\\n";')).not.toThrow();
  expect(() => requireAscii('line.replace(/^ ✓/, "")')).toThrow(
    'write ✓ as \\u…: line.replace(/^ ✓/, "")',
  );
});
