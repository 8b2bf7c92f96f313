import { UserError } from '../base/errors.ts';
import type { OutputStream } from './streams.ts';

export type StructuredFormat = 'text' | 'json' | 'yaml';

/** @throws UserError for any other word. */
export function structuredFormat(text: string | undefined): StructuredFormat {
  if (text === undefined || text === 'text') return 'text';
  if (text === 'json' || text === 'yaml') return text;
  throw new UserError({
    what: `print in format "${text}"`,
    why: 'the formats are text, json and yaml',
    fix: 'use -o json or -o yaml',
  });
}

export async function printStructured(
  stream: OutputStream,
  format: 'json' | 'yaml',
  value: unknown,
): Promise<void> {
  if (format === 'json') {
    stream.write(`${JSON.stringify(value, null, 2)}\n`);
    return;
  }
  const { stringify } = await import('yaml');
  stream.write(stringify(value));
}
