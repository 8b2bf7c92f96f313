import { defineConfig } from 'vitest/config';

/**
 * One project per test floor (HACKING.md, "Tests"). Files with real programs mostly wait for them, so more of them run
 * side by side than a small machine has cores; each test names how long it waits at most, not how long things take.
 * The time-outs here end what hangs: a test that takes four seconds on an idle machine may take a minute beside others.
 */
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: 'unit',
          include: ['test/unit/**/*.test.ts'],
          testTimeout: 60_000,
          maxWorkers: 2,
          // What is tested must not depend on what the developer's terminal is set to.
          env: { NO_COLOR: '' },
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          name: 'integration',
          include: ['test/integration/**/*.test.ts'],
          testTimeout: 180_000,
          hookTimeout: 300_000,
          maxWorkers: 3,
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: {
          name: 'e2e',
          include: ['test/e2e/**/*.test.ts'],
          testTimeout: 180_000,
          hookTimeout: 300_000,
          maxWorkers: 3,
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
});
