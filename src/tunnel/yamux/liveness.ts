export interface LivenessOptions {
  readonly pingIntervalMs: number;
  readonly deadAfterMs: number;
  readonly firstFrameMs: number;
  readonly random: () => number;
  readonly sendPing: (value: number) => void;
  readonly onDead: (message: string) => void;
}

/** The shortest of so many round trips is the path's; longer ones waited behind data. */
const rememberedTrips = 8;
/** The very first one also waits for two processes that are busy connecting. */
const firstTrips = 3;
/** A loop that turns a few times to move a window's worth of data is no reason to keep the window small. */
const minGrowthMs = 1;

/** Pings, measures, and says when the peer is gone; one timer. */
export class Liveness {
  readonly #options: LivenessOptions;
  readonly #startedAtMs: number;
  readonly #tripsMs: number[] = [];
  #timer: NodeJS.Timeout | undefined;
  #isStopped = false;
  #hasHeard = false;
  #lastFrameAtMs: number;
  #lastValue = 0;
  #sentAtMs: number | undefined;
  #nextPingAtMs = 0;
  #lastPingAtMs = 0;
  #growthMs = minGrowthMs;

  constructor(options: LivenessOptions) {
    this.#options = options;
    this.#startedAtMs = performance.now();
    this.#lastFrameAtMs = this.#startedAtMs;
  }

  /** The first ping goes out at once: each side waits for the other's first frame. */
  start(): void {
    this.ping();
    this.#arm();
  }

  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
  }

  get hasHeard(): boolean {
    return this.#hasHeard;
  }

  get lastFrameAtMs(): number {
    return this.#lastFrameAtMs;
  }

  /** Of the last answered ping. */
  get rttMs(): number | undefined {
    return this.#tripsMs.at(-1);
  }

  /** A window used up within this time, about two round trips, is too small. */
  get growthMs(): number {
    return this.#growthMs;
  }

  heard(nowMs: number): void {
    this.#lastFrameAtMs = nowMs;
    if (this.#hasHeard) return;
    this.#hasHeard = true;
    this.#arm();
  }

  /** Sends a ping besides the regular ones and returns its value. */
  ping(): number {
    const nowMs = performance.now();
    const { pingIntervalMs, random, sendPing } = this.#options;
    this.#lastValue = (this.#lastValue + 1) >>> 0;
    this.#sentAtMs = nowMs;
    this.#lastPingAtMs = nowMs;
    this.#nextPingAtMs = nowMs + pingIntervalMs * (0.75 + random() / 2);
    sendPing(this.#lastValue);
    return this.#lastValue;
  }

  /** Asks for a newer round trip when the last one is older than `ms`. */
  pingIfOlder(ms: number, nowMs: number): void {
    if (nowMs - this.#lastPingAtMs >= ms) this.ping();
  }

  onPong(value: number): void {
    if (value !== this.#lastValue || this.#sentAtMs === undefined) return;
    this.#tripsMs.push(performance.now() - this.#sentAtMs);
    this.#sentAtMs = undefined;
    if (this.#tripsMs.length > rememberedTrips) this.#tripsMs.shift();
    this.#growthMs = Math.max(minGrowthMs, 2 * Math.min(...this.#tripsMs));
    if (this.#tripsMs.length < firstTrips) this.ping();
  }

  #deadline(): number {
    return this.#hasHeard
      ? this.#lastFrameAtMs + this.#options.deadAfterMs
      : this.#startedAtMs + this.#options.firstFrameMs;
  }

  #arm(): void {
    clearTimeout(this.#timer);
    if (this.#isStopped) return;
    const atMs = Math.min(this.#deadline(), this.#nextPingAtMs);
    this.#timer = setTimeout(() => this.#onTimer(), Math.max(1, atMs - performance.now()));
  }

  #onTimer(): void {
    const nowMs = performance.now();
    if (nowMs >= this.#deadline()) {
      // This process itself may have slept: what has arrived meanwhile is read before the immediates run.
      setImmediate(() => this.#endIfDead());
      return;
    }
    if (nowMs >= this.#nextPingAtMs) this.ping();
    this.#arm();
  }

  #endIfDead(): void {
    if (this.#isStopped) return;
    if (performance.now() < this.#deadline()) {
      this.#arm();
      return;
    }
    const { deadAfterMs, firstFrameMs, onDead } = this.#options;
    onDead(
      this.#hasHeard
        ? `no frame for ${deadAfterMs / 1000} s`
        : `no first frame within ${firstFrameMs / 1000} s`,
    );
  }
}
