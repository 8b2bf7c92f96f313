/** Bounds on connections that nobody has vouched for yet. Pure bookkeeping: sockets are the caller's. */
export interface AdmissionLimits {
  /** TLS handshakes at a time; each costs CPU. More wait. */
  readonly handshakes: number;
  /** Of these of one address, so that one that dawdles holds up only itself. */
  readonly handshakesPerAddress: number;
  /** Waiting for their handshake; more are closed. */
  readonly waiting: number;
  readonly waitingPerAddress: number;
}

/** A connection that wants its handshake. */
export interface Applicant {
  readonly remoteAddress: string;
  /** Its turn has come. */
  readonly begin: () => void;
}

export interface Admission {
  /** Begins at once or later; false when there is no room at all. */
  apply(applicant: Applicant): boolean;
  /** Its handshake is over, or it has gone before. Idempotent. */
  leave(applicant: Applicant): void;
  readonly waiting: number;
  readonly handshaking: number;
}

/**
 * Agents give up 15 s after they have called. Who has waited for longer than this may be gone before its handshake is
 * done: when more come than can be served, serving those first would be work for nobody.
 */
const promisingMs = 8_000;

/**
 * First come, first served among those whose address is below its share, as long as they have not waited too long;
 * of these, the one that has waited least. `monotonicMs` is the time now, milliseconds.
 */
export function createAdmission(limits: AdmissionLimits, monotonicMs: () => number): Admission {
  /** Since when, the longest first. */
  const waiting = new Map<Applicant, number>();
  const handshaking = new Set<Applicant>();
  const waitingBy = createTally();
  const handshakingBy = createTally();
  const mayBegin = ({ remoteAddress }: Applicant) =>
    handshakingBy.get(remoteAddress) < limits.handshakesPerAddress;

  function begin(applicant: Applicant): void {
    handshaking.add(applicant);
    handshakingBy.add(applicant.remoteAddress, 1);
    applicant.begin();
  }

  function beginNext(): void {
    if (handshaking.size >= limits.handshakes) return;
    const next = findNext();
    if (next === undefined) return;
    waiting.delete(next);
    waitingBy.add(next.remoteAddress, -1);
    begin(next);
  }

  function findNext(): Applicant | undefined {
    const promisingSinceMs = monotonicMs() - promisingMs;
    let latest: Applicant | undefined;
    for (const [applicant, sinceMs] of waiting) {
      if (!mayBegin(applicant)) continue;
      if (sinceMs >= promisingSinceMs) return applicant;
      latest = applicant;
    }
    return latest;
  }

  return {
    apply(applicant) {
      const { remoteAddress } = applicant;
      if (handshaking.size < limits.handshakes && mayBegin(applicant)) {
        begin(applicant);
        return true;
      }
      const hasRoom =
        waiting.size < limits.waiting && waitingBy.get(remoteAddress) < limits.waitingPerAddress;
      if (!hasRoom) return false;
      waiting.set(applicant, monotonicMs());
      waitingBy.add(remoteAddress, 1);
      return true;
    },
    leave(applicant) {
      if (waiting.delete(applicant)) waitingBy.add(applicant.remoteAddress, -1);
      if (!handshaking.delete(applicant)) return;
      handshakingBy.add(applicant.remoteAddress, -1);
      beginNext();
    },
    get waiting() {
      return waiting.size;
    },
    get handshaking() {
      return handshaking.size;
    },
  };
}

/** Counts by key; keys at zero are forgotten. */
export interface Tally {
  get(key: string): number;
  add(key: string, change: 1 | -1): void;
}

export function createTally(): Tally {
  const counts = new Map<string, number>();
  return {
    get: (key) => counts.get(key) ?? 0,
    add(key, change) {
      const count = (counts.get(key) ?? 0) + change;
      if (count === 0) counts.delete(key);
      else counts.set(key, count);
    },
  };
}
