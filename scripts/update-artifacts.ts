// Refreshes the pins of assets/artifacts.json from upstream's checksum files and registries.
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { errorMessage, UserError } from '../src/base/errors.ts';
import { writeFileAtomic } from '../src/base/files.ts';
import { type Pins, refreshPins } from './artifacts/refresh-pins.ts';

const usage = `Usage: ./scripts/update-artifacts [--set NAME=VERSION]... [--check]

Reads the sha256 of every component from its project's checksum file, and the digest of every image from its registry,
and writes them to assets/artifacts.json. A checksum that changed without its version is an error.

  --set NAME=VERSION       move a component to this version, or an image to this tag; may be repeated
  --check                  write nothing; fail when something would change
  --accept-changed         take another checksum for the same version
  --base ORIGIN=ADDRESS    ask here instead of https://dl.k8s.io, https://github.com, …; may be repeated
  --file FILE              default: assets/artifacts.json
  --help                   show this
`;

process.exitCode = await main();

async function main(): Promise<number> {
  try {
    return await run();
  } catch (error) {
    process.stderr.write(`error: ${errorMessage(error)}\n`);
    if (error instanceof UserError && error.fix !== undefined) {
      process.stderr.write(`fix: ${error.fix}\n`);
    }
    return 1;
  }
}

async function run(): Promise<number> {
  const { values } = parseArgs({
    options: {
      set: { type: 'string', multiple: true, default: [] },
      base: { type: 'string', multiple: true, default: [] },
      check: { type: 'boolean', default: false },
      'accept-changed': { type: 'boolean', default: false },
      file: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(usage);
    return 0;
  }
  const file = values.file ?? path.join(import.meta.dirname, '../assets/artifacts.json');
  const before = await readFile(file, 'utf8');
  const pins = await refreshPins(JSON.parse(before) as Pins, {
    versions: parsePairs('set', values.set),
    bases: parsePairs('base', values.base),
    acceptsChanged: values['accept-changed'],
    onRead: (line) => process.stdout.write(`${line}\n`),
  });
  const after = `${JSON.stringify(pins, null, 2)}\n`;
  if (after === before) return 0;
  if (!values.check) await writeFileAtomic(file, after);
  process.stdout.write(values.check ? `${file} is not up to date\n` : `wrote ${file}\n`);
  return values.check ? 1 : 0;
}

function parsePairs(option: string, pairs: readonly string[]): ReadonlyMap<string, string> {
  return new Map(
    pairs.map((pair) => {
      const [, name, value] = /^([^=]+)=(.+)$/.exec(pair) ?? [];
      if (name !== undefined && value !== undefined) return [name, value];
      throw new UserError({
        what: `use --${option} ${pair}`,
        why: 'it is not NAME=VALUE',
        fix: './scripts/update-artifacts --help shows how it is written',
      });
    }),
  );
}
