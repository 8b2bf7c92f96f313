import type { OutputStream } from './streams.ts';

/** Rows of a table, its head first; the head alone means that there is nothing to show. */
export type Rows = readonly (readonly string[])[];

/** Columns as wide as their widest cell; the first row is the head, and alone it is nothing. */
export function table(stream: OutputStream, rows: Rows): string[] {
  if (rows.length < 2) return [];
  const widths = (rows[0] ?? []).map((_cell, column) =>
    Math.max(...rows.map((row) => row[column]?.length ?? 0)),
  );
  return rows.map((row) =>
    fitLine(stream, `  ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ')}`),
  );
}

/** A row that wraps is no row: on a terminal it is cut, elsewhere nothing is lost. */
function fitLine({ isTTY, columns }: OutputStream, line: string): string {
  const text = line.trimEnd();
  const width = Math.max(columns ?? 80, 20);
  return isTTY === true && text.length > width ? `${text.slice(0, width - 1)}…` : text;
}
