/**
 * Why tests on nodes cannot run here, or undefined when they can. In CI there is no reason: they run and fail.
 * Prints it, so that a skipped floor does not look like a passed one.
 */
export function nodeSkipReason(): string | undefined {
  if (process.getuid?.() === 0 || process.env['CI'] !== undefined) return undefined;
  const reason = 'tests on nodes need root (namespaces, cgroups, loop devices): run them with sudo';
  console.warn(`skipped: ${reason}`);
  return reason;
}
