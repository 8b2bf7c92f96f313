import { describe, expect, it } from 'vitest';
import { parseManifest } from '../../../src/stacks/parse.ts';

const parse = (text: string) => parseManifest({ file: 'app.yaml', text });
const configMap = (name: string, extra = '') =>
  `apiVersion: v1\nkind: ConfigMap\nmetadata: {name: ${name}}\n${extra}`;

describe('parseManifest', () => {
  it('reads documents, comments and empty parts', async () => {
    const text = `# head\n---\n${configMap('a')}---\n# nothing\n---\n${configMap('b')}`;
    expect((await parse(text)).map(({ metadata }) => metadata.name)).toEqual(['a', 'b']);
    expect(await parse('')).toEqual([]);
  });

  it('takes Lists apart, also in JSON', async () => {
    const item = (name: string) => ({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name } });
    const list = { apiVersion: 'v1', kind: 'List', items: [item('a'), item('b')] };
    const objects = await parse(JSON.stringify(list, undefined, '\t'));
    expect(objects).toEqual([item('a'), item('b')]);
  });

  it('reads values as kubectl does', async () => {
    const data = [
      'mode: 0644',
      'flag: yes',
      'ports: 22:30',
      'date: 2026-01-31',
      'quoted: "0644"',
      'text: |',
      '  --- not a separator',
    ];
    const [object] = await parse(
      `${configMap('a')}data:\n${data.map((l) => `  ${l}`).join('\n')}\n`,
    );
    expect(object?.['data']).toEqual({
      mode: 0o644,
      flag: true,
      ports: '22:30',
      date: '2026-01-31',
      quoted: '0644',
      text: '--- not a separator\n',
    });
  });

  it('keeps anchors within a document', async () => {
    const [object] = await parse(`${configMap('a')}w: &x {k: 1}\nx: *x\nz:\n  <<: *x\n  l: 2\n`);
    expect(object).toMatchObject({ x: { k: 1 }, z: { k: 1, l: 2 } });
  });

  it('drops an empty namespace', async () => {
    const [object] = await parse(
      '{"apiVersion":"v1","kind":"A","metadata":{"name":"a","namespace":""}}',
    );
    expect(object?.metadata).toEqual({ name: 'a' });
  });

  it.each([
    [
      'a cut file',
      `${configMap('a')}---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: b`,
      /^line 7: /,
    ],
    ['a tab', 'apiVersion: v1\nkind: A\nmetadata:\n\tname: a\n', /^line 4: /],
    ['a key twice', `${configMap('a')}kind: B\n`, /^line 4: /],
    ['no object', `${configMap('a')}---\n- 1\n`, /^line 4: not a Kubernetes object/],
    ['no kind', 'apiVersion: v1\nmetadata: {name: a}', /^line 1: kind is missing/],
    ['no version', 'kind: A\nmetadata: {name: a}', /^line 1: apiVersion is missing/],
    ['no name', 'apiVersion: v1\nkind: A\nmetadata: {generateName: a-}', /A has no metadata.name/],
    [
      'a number for a name',
      'apiVersion: v1\nkind: A\nmetadata: {name: 12}',
      /A has no metadata.name/,
    ],
    ['an unknown alias', `${configMap('a')}x: *nowhere\n`, /line \d+: .*nowhere/],
  ])('names the line of %s', async (_what, text, why) => {
    await expect(parse(text)).rejects.toMatchObject({
      name: 'UserError',
      what: 'read app.yaml',
      why: expect.stringMatching(why),
    });
  });

  it('refuses a file whose aliases multiply', async () => {
    const levels = Array.from({ length: 9 }, (_, level) => {
      const items = Array.from({ length: 10 }, () => (level === 0 ? 'x' : `*l${level - 1}`));
      return `l${level}: &l${level} [${items.join(', ')}]`;
    });
    await expect(parse(`${configMap('a')}${levels.join('\n')}\n`)).rejects.toMatchObject({
      name: 'UserError',
    });
  });
});
