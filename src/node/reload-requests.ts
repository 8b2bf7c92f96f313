/** Wishes of the world outside that a running node reads its configuration again: SIGHUP. */
export interface ReloadRequests {
  request(): void;
  /** Calls `listener` at each request, and at once for one that came before anybody listened. Returns its end. */
  follow(listener: () => void): () => void;
}

export function createReloadRequests(): ReloadRequests {
  let isPending = false;
  let heard: (() => void) | undefined;
  return {
    request: () => {
      if (heard === undefined) isPending = true;
      else heard();
    },
    follow: (listener) => {
      heard = listener;
      if (isPending) listener();
      isPending = false;
      return () => {
        heard = undefined;
      };
    },
  };
}
