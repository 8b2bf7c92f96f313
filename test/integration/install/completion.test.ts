import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { commands } from '../../../src/cli/commands/index.ts';
import { renderCompletion } from '../../../src/cli/render-completion.ts';

const run = promisify(execFile);

/** What bash offers for a line that ends at its last word. */
async function complete(...line: readonly string[]): Promise<string[]> {
  const script = `${renderCompletion('bash', commands)}
    COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _mini_k8s; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout } = await run('bash', ['-c', script, 'bash', 'mini-k8s', ...line]);
  return stdout.split('\n').filter((word) => word !== '');
}

test.each([
  [['wor'], ['worker']],
  [['controller', 'ins'], ['install']],
  [
    ['controller', 'install', '--no-'],
    ['--no-workloads', '--no-start'],
  ],
  [['controller', '--data-dir', '/x', 'install', '--dry'], ['--dry-run']],
  [['token', 'c'], ['create']],
  [['token', 'create', '--t'], ['--ttl']],
  [['nonsense', 'tok'], ['token']],
  [['status', 'zzz'], []],
])('bash completes %j', async (line, offered) => {
  expect(await complete(...line)).toEqual(offered);
});

test('every command and option is in each script', () => {
  for (const shell of ['bash', 'zsh', 'fish'] as const) {
    const script = renderCompletion(shell, commands);
    for (const word of ['uninstall', 'with-pods', 'token-file', 'controller install']) {
      expect(script).toContain(word);
    }
  }
});
