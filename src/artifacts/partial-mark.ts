/** What a server said of a file of which the beginning is there: beside the partial blob, for the next process. */
export interface PartialMark {
  known(): ServerMark | undefined;
  remember(mark: ServerMark): Promise<void>;
  remove(): Promise<void>;
}

interface ServerMark {
  /** Its name: another server's validator says nothing. */
  readonly server: string;
  /** A strong ETag or a date, as `If-Range` takes it. */
  readonly validator?: string;
  /** Of the whole file, bytes. */
  readonly size?: number;
}
