interface Reader {
  rest: string;
  readonly found: string[][];
  words: string[];
  word: string | undefined;
  /** The next word is a file that something is redirected to. */
  isTarget: boolean;
  endOfHereDocument: string | undefined;
}

type Rule = readonly [RegExp, (reader: Reader, match: RegExpExecArray) => void];

/**
 * The simple commands of a shell script as words, those in `$(…)` and `<(…)` included; redirections, comments and here
 * documents are left out. As much of the shell's grammar as pages need: `<name>` is a placeholder, and a word.
 * @throws Error for a quote, a substitution or a here document without an end.
 */
export function shellCommands(script: string): string[][] {
  const reader: Reader = {
    ...{ rest: script, found: [], words: [] },
    ...{ word: undefined, isTarget: false, endOfHereDocument: undefined },
  };
  while (reader.rest !== '') applyRule(reader);
  endCommand(reader);
  return reader.found;
}

const rules: readonly Rule[] = [
  [/^<[A-Za-z][\w -]*>/, (reader, [text]) => append(reader, text)],
  [
    /^<<-?\s*(['"]?)(\w+)\1/,
    (reader, [, , end]) => {
      reader.endOfHereDocument = end;
    },
  ],
  [/^(?:"|[$<>]\()/, (reader, [opening]) => readNested(reader, opening)],
  [/^'([^']*)'/, (reader, [, text = '']) => append(reader, text)],
  [/^\\\n/, () => {}],
  [/^\\(.)/, (reader, [, text = '']) => append(reader, text)],
  [
    /^\d*(>>|>&|<|>)/,
    (reader) => {
      endWord(reader);
      reader.isTarget = true;
    },
  ],
  [/^[ \t]+/, endWord],
  [/^\n/, endLine],
  [/^[;|&()]+/, endCommand],
  [
    /^#/,
    (reader) => {
      if (reader.word !== undefined) append(reader, '#');
      else reader.rest = reader.rest.replace(/^[^\n]*/, '');
    },
  ],
  [/^[^\s;|&()<>"'\\$#]+|^[\s\S]/, (reader, [text]) => append(reader, text)],
];

function applyRule(reader: Reader): void {
  for (const [pattern, act] of rules) {
    const match = pattern.exec(reader.rest);
    if (match === null) continue;
    reader.rest = reader.rest.slice(match[0].length);
    act(reader, match);
    return;
  }
}

function append(reader: Reader, text: string): void {
  reader.word = (reader.word ?? '') + text;
}

function endWord(reader: Reader): void {
  if (reader.word === undefined) return;
  if (!reader.isTarget) reader.words.push(reader.word);
  reader.isTarget = false;
  reader.word = undefined;
}

function endCommand(reader: Reader): void {
  endWord(reader);
  if (reader.words.length > 0) reader.found.push(reader.words);
  reader.words = [];
}

function endLine(reader: Reader): void {
  endCommand(reader);
  const { endOfHereDocument, rest } = reader;
  if (endOfHereDocument === undefined) return;
  const end = rest.search(new RegExp(`^${endOfHereDocument}$`, 'm'));
  if (end === -1) throw new Error(`the here document up to ${endOfHereDocument} has no end`);
  reader.rest = rest.slice(end + endOfHereDocument.length);
  reader.endOfHereDocument = undefined;
}

/** What stands in `"…"`, `$(…)` or `<(…)` is one word, and scripts in it have commands of their own. */
function readNested(reader: Reader, opening: string): void {
  const closing = opening === '"' ? '"' : ')';
  let text = '';
  for (;;) {
    const [step = ''] = /^(?:\\[\s\S]|\$\(|[\s\S])/.exec(reader.rest) ?? [];
    if (step === '') throw new Error(`${opening}${text.slice(0, 40)} is not closed`);
    reader.rest = reader.rest.slice(step.length);
    if (step === closing) break;
    text += step;
    if (step !== '$(' && !(step === '(' && closing === ')')) continue;
    text += `${readUntilParenthesis(reader, step === '$(')})`;
  }
  if (opening !== '"') reader.found.push(...shellCommands(text));
  append(reader, opening === '"' ? text : `${opening}${text})`);
}

/** Up to the parenthesis that closes this one. Its commands are found here only within a string. */
function readUntilParenthesis(reader: Reader, isScript: boolean): string {
  let text = '';
  for (;;) {
    const [step = ''] = /^(?:\\[\s\S]|[\s\S])/.exec(reader.rest) ?? [];
    if (step === '') throw new Error(`(${text.slice(0, 40)} is not closed`);
    reader.rest = reader.rest.slice(step.length);
    if (step === ')') break;
    text += step === '(' ? `(${readUntilParenthesis(reader, false)})` : step;
  }
  if (isScript) reader.found.push(...shellCommands(text));
  return text;
}
