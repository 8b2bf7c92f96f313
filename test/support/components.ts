import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import path from 'node:path';

/**
 * Absolute path of a component executable built by `scripts/build-components`, for tests against the real thing.
 * `MINI_K8S_COMPONENTS` names the directory; `./scripts/test` sets it.
 * @throws Error that names the command to run when it is not there.
 */
export function componentBinary(name: string): string {
  const file = path.join(componentDirectory(), name);
  if (existsSync(file)) return file;
  throw new Error(`No ${name} in ${path.dirname(file)}: run ./scripts/build-components first`);
}

function componentDirectory(): string {
  const configured = process.env['MINI_K8S_COMPONENTS'];
  if (configured !== undefined) return configured;
  const cache = process.env['XDG_CACHE_HOME'] ?? path.join(homedir(), '.cache');
  const arch = process.arch === 'arm64' ? 'arm64' : 'amd64';
  return path.join(cache, 'mini-k8s', 'components', arch, 'bin');
}
