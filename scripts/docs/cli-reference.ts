import type { CommandSpec } from '../../src/cli/command.ts';

/** Every command with its options and examples, as one text of Markdown. Pure. */
export function renderCliReference(commands: readonly CommandSpec[]): string {
  const index = commands.map(
    ({ usage, description }) =>
      `| [\`${nameOf(usage)}\`](#${anchor([nameOf(usage)])}) | ${cell(description)} |`,
  );
  return [
    '| command | |',
    '|---|---|',
    ...index,
    ...commands.flatMap((command) => section(command, [])),
  ].join('\n');
}

function section(command: CommandSpec, above: readonly string[]): string[] {
  const path = [...above, nameOf(command.usage)];
  const children = command.commands ?? [];
  return [
    '',
    `${'#'.repeat(path.length + 1)} ${path.join(' ')}`,
    '',
    `${sentence(command.description)}`,
    ...(command.run === undefined ? [] : usage(command, above)),
    ...options(command),
    ...(command.details ?? []).flatMap((line) => ['', escapeText(line)]),
    ...examples(command),
    ...children.flatMap((child) => section(child, path)),
  ];
}

function usage(command: CommandSpec, above: readonly string[]): string[] {
  const takesOptions = (command.options ?? []).length > 0;
  const words = ['mini-k8s', ...above, command.usage, ...(takesOptions ? ['[options]'] : [])];
  return ['', '```text', words.join(' '), '```'];
}

function options({ options: given = [] }: CommandSpec): string[] {
  if (given.length === 0) return [];
  const rows = given.map(
    ({ flags, description }) => `| \`${cell(flags)}\` | ${cell(description)} |`,
  );
  return ['', '| option | |', '|---|---|', ...rows];
}

/** Parsed by a test, and not run: they name machines that no test has. */
function examples({ examples: given = [] }: CommandSpec): string[] {
  return given.length === 0 ? [] : ['', '```sh parsed', ...given, '```'];
}

function nameOf(usage: string): string {
  return usage.split(' ')[0] ?? usage;
}

function anchor(path: readonly string[]): string {
  return path.join('-');
}

/** Placeholders such as `<file>` would be taken for HTML. */
function cell(text: string): string {
  return text.replaceAll('|', '\\|');
}

function escapeText(text: string): string {
  return text.replaceAll('<', '&lt;');
}

function sentence(text: string): string {
  const escaped = escapeText(text);
  return `${escaped.charAt(0).toUpperCase()}${escaped.slice(1)}.`;
}
