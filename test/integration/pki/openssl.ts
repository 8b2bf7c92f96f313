import { spawnSync } from 'node:child_process';

export interface OpensslResult {
  readonly status: number | null;
  /** stdout and stderr. */
  readonly output: string;
}

/** Runs the real openssl. @throws Error when it cannot be run at all. */
export function openssl(args: readonly string[], input = ''): OpensslResult {
  const child = spawnSync('openssl', args, { input, encoding: 'utf8', timeout: 30_000 });
  if (child.error !== undefined) throw child.error;
  return { status: child.status, output: child.stdout + child.stderr };
}

/** As `openssl`, and the command must succeed. Returns what it printed on stdout. */
export function opensslText(args: readonly string[], input = ''): string {
  const child = spawnSync('openssl', args, { input, encoding: 'utf8', timeout: 30_000 });
  if (child.error !== undefined) throw child.error;
  if (child.status === 0) return child.stdout;
  throw new Error(`openssl ${args.join(' ')}: ${child.stderr}`);
}
