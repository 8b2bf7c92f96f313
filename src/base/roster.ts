/** What can be a member of one roster, which alone changes its place. */
export interface Member {
  place: number;
}

/**
 * A set of what comes and goes by the thousand. A `Set` or `Map` makes a new table every few additions, and V8 keeps a
 * link from the old table to the new one: once a table has reached the old generation, all later ones do, with what was
 * in them, long after they were dropped.
 */
export class Roster<T extends Member> implements Iterable<T> {
  readonly #members: T[] = [];

  get size(): number {
    return this.#members.length;
  }

  add(member: T): void {
    member.place = this.#members.length;
    this.#members.push(member);
  }

  /** False when it is none. */
  delete(member: T): boolean {
    const members = this.#members;
    if (members[member.place] !== member) return false;
    const last = members.pop();
    if (last === undefined || last === member) return true;
    last.place = member.place;
    members[member.place] = last;
    return true;
  }

  /** In no order. Of those that are members now: what happens meanwhile changes nothing. */
  [Symbol.iterator](): Iterator<T> {
    return [...this.#members].values();
  }
}
