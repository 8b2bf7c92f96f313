/** Lets code wait for a condition over shared state without polling. */
export interface Changes {
  /** To be called after every change of the state that conditions look at. */
  notify(): void;
  /**
   * Resolves when `condition` holds; it is asked now and after each `notify`.
   * @throws the signal's reason when it aborts first.
   */
  until(condition: () => boolean, signal?: AbortSignal): Promise<void>;
}

export function createChanges(): Changes {
  const waiters = new Set<() => void>();
  return {
    notify: () => {
      // A condition may itself notify, and so end waiters that this round has not come to yet.
      for (const check of [...waiters]) if (waiters.has(check)) check();
    },
    until: (condition, signal) =>
      new Promise((resolve, reject) => {
        const finish = (settle: () => void) => {
          waiters.delete(check);
          signal?.removeEventListener('abort', onAbort);
          settle();
        };
        const check = () => {
          if (condition()) finish(resolve);
        };
        const onAbort = () => finish(() => reject(signal?.reason));
        if (signal?.aborted) {
          reject(signal.reason);
          return;
        }
        waiters.add(check);
        signal?.addEventListener('abort', onAbort, { once: true });
        check();
      }),
  };
}
