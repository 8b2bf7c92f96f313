/** Anything with a name that must not start before others. */
export interface Ordered {
  readonly name: string;
  readonly dependsOn: readonly string[];
}

/**
 * Names by start level: level 0 depends on nothing, each next level only on earlier ones. Within a
 * level the given order is kept. Reversed, it is the order to stop in.
 * @throws Error naming a duplicate, an unknown dependency, or the members of a cycle.
 */
export function startLevels(items: readonly Ordered[]): readonly (readonly string[])[] {
  checkNames(items);
  const levels: string[][] = [];
  const placed = new Set<string>();
  let rest = [...items];
  while (rest.length > 0) {
    const level = rest.filter((item) => item.dependsOn.every((name) => placed.has(name)));
    if (level.length === 0) throw new Error(`Components wait for each other: ${findCycle(rest)}`);
    levels.push(level.map((item) => item.name));
    for (const item of level) placed.add(item.name);
    rest = rest.filter((item) => !placed.has(item.name));
  }
  return levels;
}

/** The names that depend on `name` directly; they must stop before it. */
export function dependentsOf(items: readonly Ordered[], name: string): readonly string[] {
  return items.filter((item) => item.dependsOn.includes(name)).map((item) => item.name);
}

function checkNames(items: readonly Ordered[]): void {
  const names = new Set<string>();
  for (const item of items) {
    if (names.has(item.name)) throw new Error(`Two components are named ${item.name}`);
    names.add(item.name);
  }
  for (const item of items) {
    const unknown = item.dependsOn.find((name) => !names.has(name));
    if (unknown !== undefined) {
      throw new Error(`Component ${item.name} depends on ${unknown}, which does not exist`);
    }
  }
}

/** `a → b → a`. Every item of `rest` waits for another one of `rest`, so a walk must close. */
function findCycle(rest: readonly Ordered[]): string {
  const byName = new Map(rest.map((item) => [item.name, item]));
  const walk: string[] = [];
  let current = rest[0];
  while (current !== undefined && !walk.includes(current.name)) {
    walk.push(current.name);
    current = current.dependsOn.map((name) => byName.get(name)).find((item) => item !== undefined);
  }
  const closing = current?.name ?? '';
  return [...walk.slice(walk.indexOf(closing)), closing].join(' → ');
}
