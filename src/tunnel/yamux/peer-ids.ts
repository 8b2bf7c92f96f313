import { ProtocolError } from './frame-decoder.ts';

/** Streams that the peer opens at the same time may arrive in any order; more than so many holes are none of that. */
const maxHoles = 256;

/** Ids that were jumped over, first and last. */
interface Hole {
  readonly first: number;
  readonly last: number;
}

/** Tells new ids of the peer's streams from used ones, in constant memory. */
export class PeerIds {
  readonly #parity: number;
  #next: number;
  #holes: Hole[] = [];

  /** `firstId`: 1 when the peer is the client, else 2. */
  constructor(firstId: 1 | 2) {
    this.#parity = firstId % 2;
    this.#next = firstId;
  }

  isPeers(id: number): boolean {
    return id % 2 === this.#parity;
  }

  wasOpened(id: number): boolean {
    return id < this.#next && this.#findHole(id) === -1;
  }

  /** @throws ProtocolError when the id is not the peer's to open, or was used. */
  open(id: number): void {
    if (!this.isPeers(id)) {
      throw new ProtocolError(`the peer opened stream ${id}, whose number is ours to use`);
    }
    if (id >= this.#next) {
      if (id > this.#next) this.#addHole({ first: this.#next, last: id - 2 });
      this.#next = id + 2;
      return;
    }
    const index = this.#findHole(id);
    const hole = this.#holes[index];
    if (hole === undefined) throw new ProtocolError(`the peer opened stream ${id} twice`);
    const rest = [
      { first: hole.first, last: id - 2 },
      { first: id + 2, last: hole.last },
    ].filter(({ first, last }) => first <= last);
    this.#holes.splice(index, 1, ...rest);
  }

  #findHole(id: number): number {
    return this.#holes.findIndex(({ first, last }) => first <= id && id <= last);
  }

  /** The oldest is forgotten: a stream that comes that late counts as used. */
  #addHole(hole: Hole): void {
    this.#holes.push(hole);
    if (this.#holes.length > maxHoles) this.#holes.shift();
  }
}
