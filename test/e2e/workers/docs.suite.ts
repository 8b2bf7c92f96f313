import { describe, test } from 'vitest';
import { pagesAt, runPage } from '../../support/e2e/docs.ts';
import type { EdgeSites } from '../../support/e2e/edge-sites.ts';

/** What pages show of a worker, as it stands there. */
export function describeDocs(sites: () => EdgeSites): void {
  describe('pages', () => {
    test.each(pagesAt('worker'))('the commands of %s work on a worker', async (file, blocks) => {
      await runPage(sites().edge('edge-a').node, file, blocks);
    });
  });
}
