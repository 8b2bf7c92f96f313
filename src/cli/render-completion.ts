import type { CommandSpec } from './command.ts';

export type Shell = 'bash' | 'zsh' | 'fish';

/** What may follow a command: its commands, and its options with what they are for. */
interface Place {
  /** Words after the program's name, empty for the program itself. */
  readonly path: string;
  readonly words: readonly Candidate[];
}

interface Candidate {
  readonly word: string;
  readonly description: string;
}

/** A script that completes the commands and options of `mini-k8s`; files are left to the shell. */
export function renderCompletion(shell: Shell, commands: readonly CommandSpec[]): string {
  const places = placesOf('', commands, []);
  switch (shell) {
    case 'bash':
      return renderBash(places);
    case 'zsh':
      return renderZsh(places);
    case 'fish':
      return renderFish(places);
  }
}

function placesOf(
  path: string,
  commands: readonly CommandSpec[],
  options: readonly Candidate[],
): Place[] {
  const own = commands.map(({ usage, description }) => ({ word: nameOf(usage), description }));
  const below = commands.flatMap((command) =>
    placesOf(
      `${path} ${nameOf(command.usage)}`.trim(),
      command.commands ?? [],
      (command.options ?? []).map(({ flags, description }) => ({
        word: /--[a-z-]+/.exec(flags)?.[0] ?? '',
        description,
      })),
    ),
  );
  const help = { word: '--help', description: 'print help' };
  return [{ path, words: [...own, ...options, help] }, ...below];
}

function nameOf(usage: string): string {
  return usage.split(' ')[0] ?? usage;
}

/** The lines of both shells that find out after which command the cursor is, and what may follow it. */
function shellBody(places: readonly Place[]): string {
  const known = places.map(({ path }) => path).filter((path) => path !== '');
  const cases = places.map(
    ({ path, words }) => `    '${path}') found='${words.map(({ word }) => word).join(' ')}' ;;`,
  );
  return `    case '|${known.join('|')}|' in
      *"|\${place:+$place }$word|"*) place="\${place:+$place }$word" ;;
    esac
  done
  case "$place" in
${cases.join('\n')}
  esac`;
}

function renderBash(places: readonly Place[]): string {
  return `# source <(mini-k8s completion bash)
_mini_k8s() {
  local word place= found=
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
${shellBody(places)}
  COMPREPLY=($(compgen -W "$found" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _mini_k8s mini-k8s
`;
}

function renderZsh(places: readonly Place[]): string {
  return `#compdef mini-k8s
# source <(mini-k8s completion zsh)
_mini_k8s() {
  local word place= found=
  for word in "\${words[@]:1:$((CURRENT - 2))}"; do
${shellBody(places)}
  compadd -- \${=found} || _files
}
compdef _mini_k8s mini-k8s
`;
}

function renderFish(places: readonly Place[]): string {
  const known = places.map(({ path }) => path).filter((path) => path !== '');
  const lines = places.flatMap(({ path, words }) =>
    words.map(({ word, description }) => {
      const what = word.startsWith('--') ? `-l ${word.slice(2)}` : `-f -a ${word}`;
      return `complete -c mini-k8s -n "__mini_k8s_at '${path}'" ${what} -d '${quoteFish(description)}'`;
    }),
  );
  return `# mini-k8s completion fish | source
function __mini_k8s_at
  set -l place
  for word in (commandline -opc)[2..]
    if contains -- (string join ' ' $place $word) ${known.map((path) => `'${path}'`).join(' ')}
      set place (string join ' ' $place $word)
    end
  end
  test "$place" = "$argv[1]"
end
${lines.join('\n')}
`;
}

function quoteFish(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll("'", "\\'");
}
