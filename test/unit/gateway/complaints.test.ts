import { describe, expect, it } from 'vitest';
import { createLogger } from '../../../src/base/logger.ts';
import { createComplaints } from '../../../src/gateway/complaints.ts';

describe('complaints about peers', () => {
  it('are logged once a minute each, and never more than a hundred different ones', () => {
    const lines: string[] = [];
    let nowMs = 0;
    const logger = createLogger({
      level: 'debug',
      format: 'text',
      write: (line) => lines.push(line),
    });
    const complaints = createComplaints(logger, { now: () => nowMs });
    for (let count = 0; count < 500; count += 1) {
      complaints.warn('the same');
      complaints.note(`of address ${count}`);
    }
    expect(lines).toHaveLength(100);
    expect(lines.filter((line) => line.includes('the same'))).toHaveLength(1);
    nowMs += 60_000;
    complaints.warn('the same');
    expect(lines).toHaveLength(101);
  });
});
