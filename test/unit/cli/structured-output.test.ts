import { expect, it } from 'vitest';
import { parse } from 'yaml';
import { UserError } from '../../../src/base/errors.ts';
import { printStructured, structuredFormat } from '../../../src/cli/structured-output.ts';
import { fakeStream } from '../../support/fake-stream.ts';

it('structuredFormat knows three words, text by default', () => {
  expect([undefined, 'text', 'json', 'yaml'].map(structuredFormat)).toEqual([
    'text',
    'text',
    'json',
    'yaml',
  ]);
  expect(() => structuredFormat('xml')).toThrow(UserError);
});

it.each([
  ['json', (text: string): unknown => JSON.parse(text)],
  ['yaml', (text: string): unknown => parse(text)],
] as const)('printStructured writes %s that reads back', async (format, read) => {
  const value = { a: [1, 'two: "x"', null], b: { c: 'line\nline' } };
  const stream = fakeStream();
  await printStructured(stream, format, value);
  expect(read(stream.text())).toEqual(value);
  expect(stream.text().endsWith('\n')).toBe(true);
});
