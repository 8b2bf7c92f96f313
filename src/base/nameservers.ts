/** The addresses of the `nameserver` lines of a resolv.conf. @see https://man7.org/linux/man-pages/man5/resolv.conf.5.html */
export function parseNameservers(text: string): string[] {
  return [...text.matchAll(/^\s*nameserver\s+(\S+)/gm)].map((match) => match[1] ?? '');
}

/** Inside a pod such a server would be the pod itself. */
export function isLoopback(address: string): boolean {
  return address.startsWith('127.') || address === '::1';
}
