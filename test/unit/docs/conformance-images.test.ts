import { readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { pauseImage, suiteImages } from '../../../scripts/conformance-suite/suite-images.ts';

const page = readFileSync(
  path.resolve(import.meta.dirname, '../../../docs/conformance.md'),
  'utf8',
);

test('the page on conformance names every image of the tests, in the version that is made', () => {
  const named = [...page.matchAll(/`([a-z-]+:[\w.-]+)`/g)].map(([, name]) => name);
  const made = [...suiteImages, pauseImage].map(({ reference }) => path.basename(reference));
  expect(new Set(named)).toEqual(new Set(made));
});
