import { expect, test } from 'vitest';
import type { OutputStream } from '../../../src/cli/streams.ts';
import { renderTable, table } from '../../../src/cli/table.ts';

const rows = [
  ['NODE', 'SITE', 'NOTE'],
  ['edge-17', '', 'behind two routers'],
  ['a', 'north', ''],
];
const pipe: OutputStream = { write: () => true };

test('columns are as wide as their widest cell, and no line ends in spaces', () => {
  expect(renderTable(rows)).toBe(
    'NODE     SITE   NOTE\nedge-17         behind two routers\na        north\n',
  );
});

test('a section of a report is indented, and the same otherwise', () => {
  expect(
    table(pipe, rows)
      .map((line) => `${line.slice(2)}\n`)
      .join(''),
  ).toBe(renderTable(rows));
});

test('a section without rows is left out, its head too', () => {
  expect(table(pipe, rows.slice(0, 1))).toEqual([]);
});

test('a terminal that is too narrow cuts a row; elsewhere nothing is lost', () => {
  const columns = 30;
  expect(table({ ...pipe, isTTY: true, columns }, rows)[1]).toBe('  edge-17         behind two …');
  expect(table({ ...pipe, columns }, rows)[1]).toBe('  edge-17         behind two routers');
});
