import { describe, expect, it } from 'vitest';
import { callsIn, spanError, usageError } from '../../support/docs/command-usage.ts';
import { blocksOf, codeSpansOf } from '../../support/docs/markdown-blocks.ts';
import { shellCommands } from '../../support/docs/shell-words.ts';

// What holds the pages to the commands must itself be able to fail.
describe('the reader of shell scripts', () => {
  it.each<[string, string[][]]>([
    ['a b  c # d', [['a', 'b', 'c']]],
    ['a \'b c\' "d e" f\\ g', [['a', 'b c', 'd e', 'f g']]],
    ['a | b && c; d &', [['a'], ['b'], ['c'], ['d']]],
    ['a \\\n  b\nc', [['a', 'b'], ['c']]],
    ['a > file 2>&1 b < in', [['a', 'b']]],
    ['a <hash> b', [['a', '<hash>', 'b']]],
    [
      'a $(b "c d") e',
      [
        ['b', 'c d'],
        ['a', '$(b "c d")', 'e'],
      ],
    ],
    ['a "x $(b $(c) d) y"', [['c'], ['b', '$(c)', 'd'], ['a', 'x $(b $(c) d) y']]],
    [
      'source <(a b)',
      [
        ['a', 'b'],
        ['source', '<(a b)'],
      ],
    ],
    ["cat > f <<'EOF'\nx: 'y\nEOF\na", [['cat'], ['a']]],
    ['a b#c', [['a', 'b#c']]],
    ['for x in 1; do a; done', [['for', 'x', 'in', '1'], ['do', 'a'], ['done']]],
  ])('reads %j', (script, commands) => {
    expect(shellCommands(script)).toEqual(commands);
  });

  it.each(['a "b', 'a $(b', 'cat <<EOF\nx\n'])('refuses %j', (script) => {
    expect(() => shellCommands(script)).toThrow();
  });
});

describe('calls of mini-k8s', () => {
  it.each<[string, string[][]]>([
    ['mini-k8s status -o json | jq .', [['status', '-o', 'json']]],
    [
      'ssh root@c mini-k8s token create | mini-k8s worker --token -',
      [
        ['token', 'create'],
        ['worker', '--token', '-'],
      ],
    ],
    ['HTTPS_PROXY=http://p:1 sudo ./mini-k8s-linux-arm64 version', [['version']]],
    ['grep mini-k8s file', []],
    ['a=$(mini-k8s token list)', [['token', 'list']]],
  ])('are found in %s', (script, calls) => {
    expect(callsIn(script).map(({ args }) => args)).toEqual(calls);
  });

  it('are held against the real commands, without running them', async () => {
    expect(await usageError(['reset', '--yes'])).toBeUndefined();
    expect(await usageError(['kubectl', 'get', '--anything'])).toBeUndefined();
    expect(await usageError(['reset', '--now'])).toContain("unknown option '--now'");
    expect(await usageError(['tokens', 'create'])).toContain('unknown command');
    expect(await usageError(['kubeconfig', 'create'])).toContain('missing required argument');
  });

  it.each<[string, string | undefined]>([
    ['mini-k8s token create', undefined],
    ['mini-k8s logs', undefined],
    ['mini-k8s logs kube-apiserver -f', undefined],
    ['mini-k8s --version', undefined],
    ['mini-k8s kubectl get pods -A', undefined],
    ['mini-k8s token creat', 'token has no command creat'],
    ['mini-k8s tokens', 'there is no command tokens'],
    ['mini-k8s reset --force', 'reset has no option --force'],
  ])('in running text may be short, but not wrong: %s', (text, error) => {
    expect(spanError(text)).toBe(error);
  });
});

describe('the reader of pages', () => {
  const page =
    '# T\n\n```sh on=none\na `b`\n```\n\ntext `mini-k8s x` and ``y``\n~~~~text\n```\n~~~~\n';

  it('finds blocks with their tags', () => {
    const blocks = blocksOf('p.md', page).map(({ tags, ...rest }) => ({
      ...rest,
      tags: [...tags],
    }));
    expect(blocks).toEqual([
      { file: 'p.md', line: 3, language: 'sh', tags: [['on', 'none']], text: 'a `b`' },
      { file: 'p.md', line: 8, language: 'text', tags: [], text: '```' },
    ]);
    expect(() => blocksOf('p.md', '```sh\n')).toThrow('p.md:1: the block is not closed');
  });

  it('finds code in text and not in blocks', () => {
    expect(codeSpansOf('p.md', '```sh\n`a`\n```\nb `c` d\n')).toEqual([
      { file: 'p.md', line: 4, text: 'c' },
    ]);
  });
});
