import { expect, test } from 'vitest';
import { requireDetached } from '../../../scripts/build/detached.ts';

const chunks = { yaml: ['node_modules/yaml/dist/index.js'], 'config-schema': ['src/base/ip.ts'] };

test('what is to go after its use may not be a part of the program', () => {
  expect(() => requireDetached(['src/main.ts', 'src/config/parse.ts'], chunks)).not.toThrow();
  expect(() => requireDetached(['src/config/schema.ts'], chunks)).toThrow(
    'the program would hold src/config/schema.ts for ever',
  );
  expect(() => requireDetached(['node_modules/zod/v4/core/core.js'], chunks)).toThrow(
    'the program would hold node_modules/zod/v4/core/core.js for ever',
  );
});

test('errors of ours are of one class everywhere', () => {
  const twice = { ...chunks, yaml: ['src/base/errors.ts'] };
  expect(() => requireDetached([], twice)).toThrow('chunk yaml has it');
});
