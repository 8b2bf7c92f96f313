import { describe, test } from 'vitest';
import type { Cluster } from '../../support/e2e/cluster.ts';
import { pagesAt, runPage } from '../../support/e2e/docs.ts';

/** What pages show of a running controller, as it stands there. */
export function describeDocs(cluster: () => Cluster): void {
  describe('pages', () => {
    test.each(pagesAt('controller'))('the commands of %s work', async (file, blocks) => {
      await runPage(cluster().node, file, blocks);
    });
  });
}
