// Writes the parts of docs/ that are made from the source. A test fails when they are not up to date.
import path from 'node:path';
import { writeFileAtomic } from '../src/base/files.ts';
import { generatePages } from './docs/generated-pages.ts';

const root = path.resolve(import.meta.dirname, '..');

for (const { file, before, after } of await generatePages(root)) {
  if (before === after) continue;
  await writeFileAtomic(path.join(root, file), after);
  console.log(`updated ${file}`);
}
