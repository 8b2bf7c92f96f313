import { freePorts } from '../../support/free-ports.ts';

/** Konnectivity takes no port that the kernel might give away: from 49152 on. */
const maxPort = 49_151;

/** Free ports of the loopback, all different. */
export async function listenPorts(count: number): Promise<readonly number[]> {
  for (;;) {
    const ports = (await freePorts(4 * count)).filter((port) => port <= maxPort);
    if (ports.length >= count) return ports.slice(0, count);
  }
}
