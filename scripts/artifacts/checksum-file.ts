/**
 * The sha256 of one file out of a project's checksum file: lines of `<hex>  name`, or one sum alone. Pure.
 * @returns undefined when it does not name the file exactly once.
 */
export function findSha256(text: string, fileName: string): string | undefined {
  const lines = text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
  const [only = ''] = lines;
  if (lines.length === 1 && isSha256(only)) return only.toLowerCase();
  const sums = lines.flatMap((line) => {
    const [, sum = '', name = ''] = /^(\S+)\s+[*]?(?:\.\/)?(\S+)$/.exec(line) ?? [];
    return isSha256(sum) && name === fileName ? [sum.toLowerCase()] : [];
  });
  return sums.length === 1 ? sums[0] : undefined;
}

function isSha256(text: string): boolean {
  return /^[0-9a-fA-F]{64}$/.test(text);
}
