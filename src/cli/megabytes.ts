/** `59 MB`, decimal as disks and lines are sold; one digit more below ten. */
export function megabytes(bytes: number): string {
  const value = bytes / 1_000_000;
  return `${value > 0 && value < 9.95 ? value.toFixed(1) : Math.round(value)} MB`;
}
