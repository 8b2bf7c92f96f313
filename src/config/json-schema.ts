import * as z from 'zod';
import { clusterConfigSchema } from './schema.ts';

/** The name of the schema's file beside a configuration file. */
export const schemaFileName = 'config.schema.json';

/**
 * The JSON schema of the configuration, by which editors complete and check it; rules between fields are not in it.
 * Nothing is required: a file of `config.yaml.d` says only what it changes.
 * @see https://json-schema.org/draft/2020-12/json-schema-core
 */
export function renderJsonSchema(): string {
  const { required: _required, ...schema } = z.toJSONSchema(clusterConfigSchema, { io: 'input' });
  const whole = { title: 'ClusterConfig of mini-k8s', ...schema };
  return `${JSON.stringify(whole, null, 2)}\n`;
}
