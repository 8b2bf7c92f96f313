import { expect, test } from 'vitest';
import type { ArtifactSource } from '../../../src/artifacts/types.ts';
import { patienceWithFilesMirror } from '../../../src/node/artifact-sources.ts';
import { fullPatience, mirrorPatience } from '../../../src/node/dial-outside.ts';

const controller: ArtifactSource = { description: 'controllers', provide: async () => [] };

test.each([
  ['upstream may be asked next', { isUpstreamEnabled: true, controllers: [] }, mirrorPatience],
  ['a controller may', { isUpstreamEnabled: false, controllers: [controller] }, mirrorPatience],
  ['nobody may', { isUpstreamEnabled: false, controllers: [] }, fullPatience],
])('a mirror of files where %s', (_name, { isUpstreamEnabled, controllers }, patience) => {
  const access = { mirror: 'https://mirror.example', ca: '', credentialsFile: '' };
  const spec = { ...access, trustMirror: false, upstream: { enabled: isUpstreamEnabled } };
  expect(patienceWithFilesMirror({ spec, controllers })).toBe(patience);
});
