/** Who may download now. */
export interface DownloadSlots {
  /** @returns what gives the slot back, or undefined when there is none left. */
  take(peer: string): (() => void) | undefined;
}

/** So many downloads at once in all, and so many of one peer: one that takes all it can leaves the others theirs. */
export function createDownloadSlots(limits: {
  readonly all: number;
  readonly perPeer: number;
}): DownloadSlots {
  const running = new Map<string, number>();
  let total = 0;
  return {
    take: (peer) => {
      const own = running.get(peer) ?? 0;
      if (total >= limits.all || own >= limits.perPeer) return undefined;
      running.set(peer, own + 1);
      total += 1;
      return () => {
        total -= 1;
        const left = (running.get(peer) ?? 0) - 1;
        if (left > 0) running.set(peer, left);
        else running.delete(peer);
      };
    },
  };
}
