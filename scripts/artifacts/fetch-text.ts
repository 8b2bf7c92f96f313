import { errorMessage, UserError } from '../../src/base/errors.ts';

/** Where requests to an origin go instead: `https://dl.k8s.io` → `http://127.0.0.1:8080/dl`. */
export type Bases = ReadonlyMap<string, string>;

const timeoutMs = 30_000;

/**
 * The text behind an address.
 * @throws UserError when it cannot be had.
 */
export async function fetchText(address: string, bases: Bases): Promise<string> {
  const response = await fetchFrom(address, bases, {});
  if (response.ok) return await response.text();
  throw cannot(address, `it answered with status ${response.status}`);
}

/** One GET, with redirects. @throws UserError when there is no answer. */
export async function fetchFrom(
  address: string,
  bases: Bases,
  headers: Readonly<Record<string, string>>,
): Promise<Response> {
  const { origin } = new URL(address);
  const url = `${bases.get(origin) ?? origin}${address.slice(origin.length)}`;
  try {
    return await fetch(url, { headers, signal: AbortSignal.timeout(timeoutMs) });
  } catch (error) {
    const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
    throw cannot(address, errorMessage(cause));
  }
}

export function cannot(address: string, why: string): UserError {
  return new UserError({ what: `read ${address}`, why, fix: 'check the version and the network' });
}
