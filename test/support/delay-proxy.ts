import { type AddressInfo, connect, createServer, type Socket } from 'node:net';

export interface DelayProxyOptions {
  /** `host:port`, or only a port of 127.0.0.1. */
  readonly target: string | number;
  /** Each way, milliseconds: a round trip takes twice this. */
  readonly delayMs?: number;
  /** Each way and connection, bytes per second; unlimited when left out. */
  readonly bytesPerSecond?: number;
  /** Bytes of both ways together after which a connection is frozen: nothing is forwarded or closed any more. */
  readonly dropAfterBytes?: number;
  /** What may be on its way in one direction, bytes; the sender waits then. 32 MiB unless given. */
  readonly maxInFlightBytes?: number;
}

/** A TCP proxy in user space that plays a long, thin or broken line. */
export interface DelayProxy {
  readonly port: number;
  /** `127.0.0.1:port` */
  readonly address: string;
  /** Each way, from now on; milliseconds. */
  setDelay(delayMs: number): void;
  /** A silent cut, as of a NAT that forgot: nothing passes and nothing is closed; new connections hang as well. */
  freeze(): void;
  /** Ends a freeze; what waited is forwarded. */
  thaw(): void;
  /** Connections are reset; new ones too, until `heal`. */
  cut(): void;
  heal(): void;
  /** How many connections live. */
  readonly connections: number;
  close(): Promise<void>;
}

const defaultMaxInFlightBytes = 32 * 1024 * 1024;

interface Line {
  readonly options: DelayProxyOptions;
  readonly pipes: Set<Pipe>;
  delayMs: number;
  isFrozen: boolean;
  isCut: boolean;
}

interface Pipe {
  readonly sockets: readonly Socket[];
  resume(): void;
}

export async function startDelayProxy(options: DelayProxyOptions): Promise<DelayProxy> {
  const line: Line = {
    options,
    pipes: new Set(),
    delayMs: options.delayMs ?? 0,
    isFrozen: false,
    isCut: false,
  };
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) =>
    accept(line, client),
  );
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', 4096, resolve));
  const { port } = server.address() as AddressInfo;
  const reset = () => {
    for (const { sockets } of line.pipes) for (const socket of sockets) socket.resetAndDestroy();
  };
  return {
    port,
    address: `127.0.0.1:${port}`,
    setDelay: (delayMs) => {
      line.delayMs = delayMs;
    },
    freeze: () => {
      line.isFrozen = true;
    },
    thaw: () => {
      line.isFrozen = false;
      for (const pipe of line.pipes) pipe.resume();
    },
    cut: () => {
      line.isCut = true;
      reset();
    },
    heal: () => {
      line.isCut = false;
    },
    get connections() {
      return line.pipes.size;
    },
    close: async () => {
      const closed = new Promise((resolve) => server.close(resolve));
      reset();
      await closed;
    },
  };
}

function accept(line: Line, client: Socket): void {
  client.on('error', () => {});
  if (line.isCut) {
    client.resetAndDestroy();
    return;
  }
  const { target } = line.options;
  const [host, port] = typeof target === 'number' ? ['127.0.0.1', target] : splitTarget(target);
  const upstream = connect({ host, port, allowHalfOpen: true, noDelay: true });
  upstream.on('error', () => {});
  let carried = 0;
  const isStopped = () =>
    line.isFrozen || carried >= (line.options.dropAfterBytes ?? Number.POSITIVE_INFINITY);
  const context = {
    line,
    isStopped,
    count: (bytes: number) => {
      carried += bytes;
    },
  };
  const resumeUp = forward(client, upstream, context);
  const resumeDown = forward(upstream, client, context);
  const pipe: Pipe = {
    sockets: [client, upstream],
    resume: () => {
      resumeUp();
      resumeDown();
    },
  };
  line.pipes.add(pipe);
  // Whichever is broken off breaks the other off; an orderly end goes through `forward`.
  const onClose = (socket: Socket, other: Socket) => (hadError: boolean) => {
    if (isStopped()) return;
    if (client.closed && upstream.closed) line.pipes.delete(pipe);
    else if (hadError || !socket.readableEnded) other.resetAndDestroy();
  };
  client.once('close', onClose(client, upstream));
  upstream.once('close', onClose(upstream, client));
}

interface ForwardContext {
  readonly line: Line;
  readonly isStopped: () => boolean;
  readonly count: (bytes: number) => void;
}

interface Part {
  readonly data: Buffer | 'end';
  /** When it arrives at the other end; milliseconds of the monotonic clock. */
  readonly dueMs: number;
}

/** One direction. Returns what makes it go on after a freeze. */
function forward(from: Socket, to: Socket, context: ForwardContext): () => void {
  const { line } = context;
  const maxInFlight = line.options.maxInFlightBytes ?? defaultMaxInFlightBytes;
  const queue: Part[] = [];
  let inFlight = 0;
  let lineFreeAtMs = 0;
  let timer: NodeJS.Timeout | undefined;
  /** False when the receiver wants a pause. */
  const deliver = ({ data }: Part): boolean => {
    if (data === 'end') {
      to.end();
      return true;
    }
    inFlight -= data.length;
    context.count(data.length);
    if (inFlight < maxInFlight) from.resume();
    return !to.writable || to.write(data);
  };
  const pump = () => {
    timer = undefined;
    // What is due at one time leaves by one call of the system.
    to.cork();
    try {
      deliverDue();
    } finally {
      to.uncork();
    }
  };
  const deliverDue = () => {
    let isFull = false;
    for (let part = queue[0]; part !== undefined && !context.isStopped(); part = queue[0]) {
      const waitMs = part.dueMs - performance.now();
      // Timers have whole milliseconds: what is due within half of one goes now.
      if (waitMs > 0.5) {
        if (!isFull) timer = setTimeout(pump, waitMs);
        break;
      }
      queue.shift();
      if (!deliver(part)) isFull = true;
    }
    if (isFull) to.once('drain', pump);
  };
  const add = (data: Buffer | 'end') => {
    const bytes = data === 'end' ? 0 : data.length;
    const rate = line.options.bytesPerSecond ?? Number.POSITIVE_INFINITY;
    lineFreeAtMs = Math.max(lineFreeAtMs, performance.now()) + (bytes / rate) * 1000;
    queue.push({ data, dueMs: lineFreeAtMs + line.delayMs });
    inFlight += bytes;
    if (inFlight >= maxInFlight) from.pause();
    if (timer === undefined && !to.writableNeedDrain) pump();
  };
  from.on('data', add);
  from.once('end', () => add('end'));
  return () => {
    if (timer === undefined) pump();
  };
}

function splitTarget(target: string): [string, number] {
  const colon = target.lastIndexOf(':');
  return [target.slice(0, colon), Number(target.slice(colon + 1))];
}
