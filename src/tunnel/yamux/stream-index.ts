/** What has a number. */
interface Numbered {
  readonly id: number;
}

const minSlots = 16;

/**
 * Finds streams by their number. Not a `Map`, for the reason that src/base/roster.ts gives. Numbers are dense, so whoever
 * finds its slot taken goes on to the next.
 */
export class StreamIndex<T extends Numbered> {
  /** At most half of them are taken. */
  #slots = emptySlots<T>(minSlots);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get(id: number): T | undefined {
    return this.#slots[this.#find(id)];
  }

  /** Replaces what has the same number. */
  set(stream: T): void {
    const slot = this.#find(stream.id);
    const isNew = this.#slots[slot] === undefined;
    this.#slots[slot] = stream;
    if (!isNew) return;
    this.#size += 1;
    if (this.#size * 2 > this.#slots.length) this.#resize(this.#slots.length * 2);
  }

  /** False when there is none. */
  delete(id: number): boolean {
    const slots = this.#slots;
    let gap = this.#find(id);
    if (slots[gap] === undefined) return false;
    this.#size -= 1;
    const mask = slots.length - 1;
    // Whoever is found by way of the gap moves up into it.
    for (let slot = (gap + 1) & mask; ; slot = (slot + 1) & mask) {
      const stream = slots[slot];
      if (stream === undefined) break;
      const distance = (slot - homeOf(stream.id)) & mask;
      if (distance < ((slot - gap) & mask)) continue;
      slots[gap] = stream;
      gap = slot;
    }
    slots[gap] = undefined;
    if (slots.length > minSlots && this.#size * 8 < slots.length) this.#resize(slots.length / 2);
    return true;
  }

  /** In no order. */
  all(): T[] {
    return this.#slots.filter((stream) => stream !== undefined);
  }

  /** Where it is, or would be. */
  #find(id: number): number {
    const slots = this.#slots;
    const mask = slots.length - 1;
    let slot = homeOf(id) & mask;
    for (let stream = slots[slot]; stream !== undefined && stream.id !== id; stream = slots[slot]) {
      slot = (slot + 1) & mask;
    }
    return slot;
  }

  #resize(length: number): void {
    const streams = this.all();
    this.#slots = emptySlots(length);
    for (const stream of streams) this.#slots[this.#find(stream.id)] = stream;
  }
}

function emptySlots<T>(length: number): (T | undefined)[] {
  return Array.from({ length }, () => undefined);
}

/** One side's numbers are all odd or all even. */
function homeOf(id: number): number {
  return id >>> 1;
}
