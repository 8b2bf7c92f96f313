import { UserError } from '../../base/errors.ts';
import type { CommandSpec } from '../command.ts';
import { renderCompletion, type Shell } from '../render-completion.ts';

const shells: readonly string[] = ['bash', 'zsh', 'fish'] satisfies Shell[];

/** A function, since it completes the list that it is part of. */
export function completionCommand(commands: () => readonly CommandSpec[]): CommandSpec {
  return {
    usage: 'completion <shell>',
    description: 'print a script that completes commands and options in bash, zsh or fish',
    examples: [
      'source <(mini-k8s completion bash)',
      'mini-k8s completion fish > ~/.config/fish/completions/mini-k8s.fish',
    ],
    run: async ({ args, context }) => {
      const [shell = ''] = args;
      if (!isShell(shell)) {
        throw new UserError({
          what: `complete commands in ${shell}`,
          why: `the shells are ${shells.join(', ')}`,
          fix: 'mini-k8s completion bash',
        });
      }
      context.stdout.write(renderCompletion(shell, commands()));
      return 0;
    },
  };
}

function isShell(text: string): text is Shell {
  return shells.includes(text);
}
