import { expect, test } from 'vitest';
import { findSha256 } from '../../../../scripts/artifacts/checksum-file.ts';

const a = 'a'.repeat(64);
const b = 'b'.repeat(64);

test.each([
  ['one sum alone', `${a}\n`, a],
  ['a sum in capitals', a.toUpperCase(), a],
  ['a line with its name', `${a}  runc.arm64\n`, a],
  ['many lines', `${b}  runc.amd64\n${a}  runc.arm64\n${b}  runc.tar.xz\n`, a],
  ['the mark of binary mode, and ./', `${a} *./runc.arm64`, a],
  ['another file only', `${a}  runc.amd64\n`, undefined],
  ['the file twice', `${a}  runc.arm64\n${b}  runc.arm64\n`, undefined],
  ['no sum', '<html>not found</html>', undefined],
  ['a sum of another length', `${'a'.repeat(63)}  runc.arm64`, undefined],
  ['nothing', '', undefined],
])('a checksum file with %s', (_name, text, expected) => {
  expect(findSha256(text, 'runc.arm64')).toBe(expected);
});
