import type { OutputStream } from './streams.ts';

/** Rows of a table, its head first; the head alone means that there is nothing to show. */
export type Rows = readonly (readonly string[])[];

/** A section of a report, as lines that fit the terminal. */
export function table(stream: OutputStream, rows: Rows): string[] {
  if (rows.length < 2) return [];
  return alignColumns(rows).map((line) => fitLine(stream, `  ${line}`));
}

/** A table that is all there is to say; its lines are of any length. */
export function renderTable(rows: Rows): string {
  return alignColumns(rows)
    .map((line) => `${line}\n`)
    .join('');
}

/** Columns as wide as their widest cell, two spaces apart; no line ends in spaces. */
export function alignColumns(rows: Rows): string[] {
  const columns = Math.max(0, ...rows.map((row) => row.length));
  const widths = Array.from({ length: columns }, (_, column) =>
    Math.max(...rows.map((row) => row[column]?.length ?? 0)),
  );
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
}

/** A row that wraps is no row: on a terminal it is cut, elsewhere nothing is lost. */
function fitLine({ isTTY, columns }: OutputStream, text: string): string {
  const width = Math.max(columns ?? 80, 20);
  return isTTY === true && text.length > width ? `${text.slice(0, width - 1)}…` : text;
}
