import type { StepEvent } from './events.ts';

/**
 * Tells of a step's begin and of its end. The time that it took is not the clock's: machines without one of their own
 * have it set while they start.
 * @returns what `work` returns.
 * @throws what `work` throws.
 */
export async function reportStep<T>(
  step: string,
  onEvent: (event: StepEvent) => void,
  work: () => Promise<T>,
): Promise<T> {
  const startedAt = performance.now();
  const elapsedMs = () => performance.now() - startedAt;
  onEvent({ type: 'step-started', step });
  let result: T;
  try {
    result = await work();
  } catch (error) {
    onEvent({ type: 'step-failed', step, elapsedMs: elapsedMs() });
    throw error;
  }
  onEvent({ type: 'step-finished', step, elapsedMs: elapsedMs() });
  return result;
}
