import { type FSWatcher, watch } from 'node:fs';
import path from 'node:path';
import { errorCode } from '../base/errors.ts';

/** Lets a loop sleep until something happens. */
export interface WakeUp {
  /** Resolves after `ms` milliseconds, at `ring()`, or when the signal aborts; at once when it rang since the last wait. */
  wait(ms: number, signal: AbortSignal): Promise<void>;
  ring(): void;
}

export function createWakeUp(): WakeUp {
  let rang = false;
  let wake: (() => void) | undefined;
  return {
    async wait(ms, signal) {
      if (!rang && !signal.aborted) {
        await new Promise<void>((resolve) => {
          const timer = setTimeout(done, ms);
          function done(): void {
            clearTimeout(timer);
            signal.removeEventListener('abort', done);
            wake = undefined;
            resolve();
          }
          wake = done;
          signal.addEventListener('abort', done);
        });
      }
      rang = false;
    },
    ring() {
      rang = true;
      wake?.();
    },
  };
}

/** Watches over directories, each without what is below it. */
export interface DirectoryWatch {
  /** From now on these; one that does not exist or cannot be watched is left out: the next call tries it again. */
  follow(directories: readonly string[]): void;
  close(): void;
}

/** The kernel's watches are few on small machines and blind on network file systems: they make things faster, no more. */
const maxWatches = 128;

export function watchDirectories(onChange: () => void): DirectoryWatch {
  const watchers = new Map<string, FSWatcher>();
  const forget = (directory: string) => {
    watchers.get(directory)?.close();
    watchers.delete(directory);
  };
  return {
    follow(directories) {
      const wanted = new Set(directories.slice(0, maxWatches));
      for (const directory of [...watchers.keys()]) if (!wanted.has(directory)) forget(directory);
      for (const directory of wanted) {
        if (watchers.has(directory)) continue;
        const watcher = tryWatch(directory);
        if (watcher === undefined) continue;
        watchers.set(directory, watcher);
        watcher.on('error', () => forget(directory));
        watcher.on('change', (_event, file) => {
          // Its own name: the directory was removed, and a new one in its place needs a new watch.
          if (file === path.basename(directory)) forget(directory);
          onChange();
        });
      }
    },
    close() {
      for (const directory of [...watchers.keys()]) forget(directory);
    },
  };
}

function tryWatch(directory: string): FSWatcher | undefined {
  try {
    return watch(directory, { persistent: false });
  } catch (error) {
    if (errorCode(error) === undefined) throw error;
    return undefined;
  }
}
