import { describe, expect, it } from 'vitest';
import { renderJsonSchema } from '../../../src/config/json-schema.ts';
import { clusterConfigSchema } from '../../../src/config/schema.ts';
import { fieldsOf } from '../../../src/config/schema-fields.ts';

interface Part {
  readonly description?: string;
  readonly properties?: Readonly<Record<string, Part>>;
}

describe('the published schema', () => {
  it('is the one in the repository', async () => {
    await expect(renderJsonSchema()).toMatchFileSnapshot('../../../docs/config.schema.json');
  });

  it('describes every field, and requires none', () => {
    const schema = JSON.parse(renderJsonSchema()) as Part & { required?: unknown };
    expect(schema.required).toBeUndefined();
    const undescribed = fieldsOf(clusterConfigSchema)
      .filter(({ path: names }) => names.length > 1)
      .filter(({ path: names }) => {
        let part: Part | undefined = schema;
        let text = '';
        for (const name of names) {
          part = part?.properties?.[name];
          text = part?.description ?? text;
        }
        return text === '';
      });
    expect(undescribed).toEqual([]);
  });
});
