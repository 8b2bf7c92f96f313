// The floor plan of src/ as data, and what holds source text against it. Pure: files come in as a map.

interface Room {
  /** Rooms that it may import from. */
  readonly imports: readonly string[];
  /** Rooms that it may import types from: these vanish in the build. */
  readonly types?: readonly string[];
  /** Single files of other rooms: pure helpers. */
  readonly files?: readonly string[];
  /** Reads and writes nothing itself. */
  readonly isPure?: boolean;
}

const ENGINES = ['artifacts', 'pki', 'supervisor', 'kube-client', 'host', 'tunnel', 'stacks'];
const DESCRIPTION: Room = {
  imports: ['base', 'config'],
  types: [...ENGINES, 'api-endpoint', 'join'],
  files: ['artifacts/catalog.ts', 'pki/kubeconfig.ts'],
  isPure: true,
};
const ABOVE_BASE: Room = { imports: ['base'] };
const ON_THE_API: Room = { imports: ['base', 'kube-client'], types: ['supervisor'] };

/** Who may import whom (HACKING.md, "Rooms"). `main` is `src/main.ts`. */
export const ROOMS: Readonly<Record<string, Room>> = {
  base: { imports: [] },
  config: { ...ABOVE_BASE, isPure: true },
  artifacts: ABOVE_BASE,
  pki: ABOVE_BASE,
  supervisor: ABOVE_BASE,
  'kube-client': ABOVE_BASE,
  host: ABOVE_BASE,
  install: ABOVE_BASE,
  doctor: { imports: ['base', 'config', 'artifacts', 'pki', 'host', 'install'] },
  tunnel: { ...ABOVE_BASE, types: ['supervisor'] },
  stacks: ON_THE_API,
  'api-endpoint': ON_THE_API,
  join: { ...ON_THE_API, imports: [...ON_THE_API.imports, 'pki'] },
  reconcilers: { ...ON_THE_API, imports: [...ON_THE_API.imports, 'pki'] },
  gateway: { imports: ['base', 'join', 'artifacts', 'tunnel'], types: ['supervisor'] },
  components: DESCRIPTION,
  addons: DESCRIPTION,
  node: {
    imports: [
      ...['base', 'config', ...ENGINES, 'api-endpoint', 'join'],
      ...['reconcilers', 'gateway', 'components', 'addons', 'install', 'doctor'],
    ],
  },
  cli: { imports: ['base', 'config', 'pki', 'kube-client', 'node'] },
  main: { imports: ['base', 'cli'] },
};

/** Named in messages: where a new room is entered. */
const PLACE = 'test/support/architecture.ts';

/** Modules through which a file would touch the machine. */
const EFFECTS =
  /^(node:)?(fs|child_process|net|http|https|http2|tls|os|dgram|dns|worker_threads|cluster)(\/|$)|^(execa|tar)$/;

/** The lists of descriptions and of commands, in reading order: the only files that may gather others. */
const REGISTRIES = ['components/index.ts', 'addons/index.ts', 'cli/commands/index.ts'];

/** Where a decision may hang on the node's role. */
const ROLE_READERS = ['node/plan.ts', 'components/index.ts', 'addons/index.ts'];

export interface Import {
  readonly specifier: string;
  readonly isTypeOnly: boolean;
}

/** The imports and re-exports of a module's text, in order of kind. */
export function readImports(source: string): Import[] {
  const code = source.replace(/\/\*[\s\S]*?\*\//g, '').replace(/^\s*\/\/.*$/gm, '');
  const patterns = [
    /^import\s+(type\s+)?(?:[\w$*\s{},]+?\sfrom\s+)?['"]([^'"]+)['"]/gm,
    /^export\s+(type\s+)?(?:\*(?:\s+as\s+\w+)?|\{[^}]*\})\s*from\s*['"]([^'"]+)['"]/gm,
    /\b(typeof\s+)?import\(\s*['"]([^'"]+)['"]/g,
  ];
  return patterns.flatMap((pattern) =>
    [...code.matchAll(pattern)].map((match) => ({
      specifier: match[2] ?? '',
      isTypeOnly: match[1] !== undefined,
    })),
  );
}

/** Everything in `files` (path below src → text) that breaks the floor plan, one sentence each. */
export function findViolations(files: ReadonlyMap<string, string>): string[] {
  const perFile = [...files].flatMap(([file, source]) => [
    ...readImports(source).flatMap((imported) => checkImport(file, imported)),
    ...checkText(file, source),
  ]);
  return [...perFile, ...findRoomCycles(files)];
}

function checkImport(file: string, imported: Import): string[] {
  const from = roomOf(file);
  const room = ROOMS[from];
  if (room === undefined) return [`${file}: ${from} is no room of the table in ${PLACE}`];
  const target = resolveInSource(file, imported.specifier);
  if (target === undefined) {
    const breaks = room.isPure === true && !imported.isTypeOnly && EFFECTS.test(imported.specifier);
    return breaks ? [`${file}: the pure room ${from} imports ${imported.specifier}`] : [];
  }
  const to = roomOf(target);
  if (to === from || room.imports.includes(to) || room.files?.includes(target) === true) return [];
  if (imported.isTypeOnly && room.types?.includes(to) === true) return [];
  const kind = imported.isTypeOnly ? 'types of ' : '';
  return [`${file}: ${from} may not import ${kind}${target}`];
}

function checkText(file: string, source: string): string[] {
  const found: string[] = [];
  if (/^export\s+\*/m.test(source)) found.push(`${file}: export * hides where things come from`);
  if (/(^|\/)index\.ts$/.test(file) && !REGISTRIES.includes(file)) {
    found.push(`${file}: only ${REGISTRIES.join(' and ')} are index files`);
  }
  const decidesByRole = /\b(if|switch)\s*\([^;{]*(?<![-\w'"])role\b/.test(source);
  if (decidesByRole && !ROLE_READERS.includes(file)) {
    found.push(`${file}: decides by role; only ${ROLE_READERS.join(', ')} may`);
  }
  return found;
}

/** A cycle between rooms makes them one room, whatever the table says. */
function findRoomCycles(files: ReadonlyMap<string, string>): string[] {
  const edges = new Map<string, Set<string>>();
  for (const [file, source] of files) {
    const from = roomOf(file);
    const targets = edges.get(from) ?? new Set();
    edges.set(from, targets);
    for (const { specifier } of readImports(source)) {
      const target = resolveInSource(file, specifier);
      if (target !== undefined && roomOf(target) !== from) targets.add(roomOf(target));
    }
  }
  return [...edges.keys()]
    .filter((room) => canReach(room, room, edges))
    .map((room) => `${room}: imports itself through other rooms`);
}

function canReach(
  start: string,
  goal: string,
  edges: ReadonlyMap<string, ReadonlySet<string>>,
): boolean {
  const queue = [...(edges.get(start) ?? [])];
  const seen = new Set<string>();
  for (let room = queue.pop(); room !== undefined; room = queue.pop()) {
    if (room === goal) return true;
    if (seen.has(room)) continue;
    seen.add(room);
    queue.push(...(edges.get(room) ?? []));
  }
  return false;
}

function roomOf(file: string): string {
  const slash = file.indexOf('/');
  return slash === -1 ? file.replace(/\.ts$/, '') : file.slice(0, slash);
}

/** Path below src of a relative import; undefined for packages, `node:` modules and data in assets/. */
function resolveInSource(file: string, specifier: string): string | undefined {
  if (!specifier.startsWith('.')) return undefined;
  const resolved = new URL(specifier, `file:///src/${file}`).pathname;
  return resolved.startsWith('/src/') ? resolved.slice('/src/'.length) : undefined;
}
