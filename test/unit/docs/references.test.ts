import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { renderCliReference } from '../../../scripts/docs/cli-reference.ts';
import {
  fieldsOf,
  renderConfigurationReference,
} from '../../../scripts/docs/configuration-reference.ts';
import { generatePages, replacePart } from '../../../scripts/docs/generated-pages.ts';
import { clusterConfigSchema } from '../../../src/config/schema.ts';
import { ROOT } from '../../support/docs/pages.ts';

// Like the floor plan's test, this one reads files: its subject is the pages.
const pages = await generatePages(ROOT);

describe('a page that is made from the source', () => {
  it.each(pages.map((page) => [page.file, page] as const))(
    '%s is up to date (scripts/update-docs)',
    (_file, { before, after }) => {
      expect(before).toBe(after);
    },
  );

  it('has the text of a part between its marks, and nothing else is touched', () => {
    const page = 'a\n<!-- begin x: made by scripts/update-docs -->\nold\n<!-- end x -->\nb\n';
    const part = { file: 'p.md', name: 'x', text: 'new\n' };
    const replaced = replacePart(page, part);
    expect(replaced).toBe(
      'a\n<!-- begin x: made by scripts/update-docs -->\n\nnew\n\n<!-- end x -->\nb\n',
    );
    expect(replacePart(replaced, part)).toBe(replaced);
    for (const wrong of ['', page.replace('end x', 'end y'), page + page]) {
      expect(() => replacePart(wrong, part)).toThrow('p.md must have');
    }
  });
});

describe('the reference of commands', () => {
  it('shows usage, options and examples of each, and its commands below it', () => {
    const text = renderCliReference([
      {
        ...{ usage: 'node', description: 'take workers out' },
        commands: [
          {
            ...{ usage: 'remove <name>', description: 'evict pods' },
            options: [{ flags: '-f, --force <a|b>', description: 'do not wait' }],
            details: ['Takes <2m>.'],
            examples: ['mini-k8s node remove edge-7'],
            run: async () => 0,
          },
        ],
      },
    ]);
    expect(text).toBe(`| command | |
|---|---|
| [\`node\`](#node) | take workers out |

## node

Take workers out.

### node remove

Evict pods.

\`\`\`text
mini-k8s node remove <name> [options]
\`\`\`

| option | |
|---|---|
| \`-f, --force <a\\|b>\` | do not wait |

Takes &lt;2m>.

\`\`\`sh parsed
mini-k8s node remove edge-7
\`\`\``);
  });
});

describe('the reference of the configuration', () => {
  const schema = {
    properties: {
      kind: { type: 'string', const: 'K' },
      spec: {
        properties: {
          tuning: { type: 'string', enum: ['small', 'upstream'], default: 'small' },
          api: {
            properties: {
              port: {
                type: 'integer',
                minimum: 1,
                maximum: 9,
                default: 6,
                description: 'the port',
              },
              sans: { type: 'array', items: { type: 'string' }, default: [] },
            },
          },
          dns: {
            description: 'CoreDNS',
            properties: { enabled: { type: 'boolean', default: true } },
          },
          node: {
            properties: { labels: { type: 'object', additionalProperties: { type: 'string' } } },
          },
        },
      },
    },
  };

  it('has a line for each field, with what it may be and what it is', () => {
    expect(fieldsOf(schema)).toEqual([
      { path: 'kind', values: '`K`', default: '', description: '' },
      { path: 'spec.tuning', values: '`small`, `upstream`', default: '"small"', description: '' },
      {
        path: 'spec.api.port',
        values: 'number from 1 to 9',
        default: '6',
        description: 'the port',
      },
      { path: 'spec.api.sans', values: 'list of text', default: '[]', description: '' },
      {
        path: 'spec.dns.enabled',
        values: '`true`, `false`',
        default: 'true',
        description: 'CoreDNS',
      },
      { path: 'spec.node.labels', values: 'mapping to text', default: '', description: '' },
    ]);
  });

  it('says of every field what it is for', () => {
    const fields = fieldsOf(z.toJSONSchema(clusterConfigSchema, { io: 'input' }));
    const silent = fields.filter(
      ({ path, description }) => path.includes('.') && description === '',
    );
    expect(silent).toEqual([]);
  });

  it('groups the fields by the parts of spec', () => {
    const headings = renderConfigurationReference(schema).match(/^### .*$/gm);
    expect(headings).toEqual([
      '### The document',
      '### spec',
      '### spec.api',
      '### spec.dns',
      '### spec.node',
    ]);
  });
});
