/** A copy with memory of its own, so that a few bytes do not keep a chunk alive; Node's pool is shared with strangers. */
export function ownCopy(part: Buffer): Buffer {
  const copy = Buffer.allocUnsafeSlow(part.length);
  part.copy(copy);
  return copy;
}
