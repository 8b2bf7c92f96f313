/** How far a stage is, read from what ginkgo prints with -v while it runs. */
export interface LiveProgress {
  /** Takes the next part of the output; returns the names of tests that have failed in it. */
  read(chunk: string): readonly string[];
  readonly done: number;
  readonly failed: number;
}

/** `• [3.214 seconds]`, `• [FAILED] [12.001 seconds]`: the first line of a test that is over. */
const HEADER = /^• (?:\[([A-Z! ]+)\] )?\[[\d.]+ seconds\]\s*$/;

/** ` [sig-node, Conformance]`: what ginkgo adds to the name. */
const LABELS = / \[[^\]]*, [^\]]*\]$/;

export function createLiveProgress(): LiveProgress {
  let rest = '';
  let done = 0;
  let failed = 0;
  /** The line behind the header of a failure is its name. */
  let isNameNext = false;
  const readLine = (line: string): string | undefined => {
    if (isNameNext && line.trim() !== '') {
      isNameNext = false;
      return line.trim().replace(' [It] ', ' ').replace(LABELS, '');
    }
    const header = HEADER.exec(line);
    if (header === null) return undefined;
    done += 1;
    if (header[1] === undefined) return undefined;
    failed += 1;
    isNameNext = true;
    return undefined;
  };
  return {
    read(chunk) {
      const lines = (rest + chunk).split('\n');
      rest = lines.pop() ?? '';
      return lines.map(readLine).filter((name) => name !== undefined);
    },
    get done() {
      return done;
    },
    get failed() {
      return failed;
    },
  };
}
