import { waitFor } from '../../../src/base/time.ts';
import { createClient, echo, type Front } from './client.ts';
import { startDelayLine } from './delay-line.ts';
import type { PeerProcess } from './peer-process.ts';

/** One of the two tunnels that are compared. */
export interface Side {
  readonly name: string;
  startServer(directory: string, targetPort: number): Promise<ListeningPeer>;
  startAgent(directory: string, options: AgentOptions): Promise<PeerProcess>;
  /** Of the server that works in this directory. */
  front(directory: string, targetPort: number): Front;
}

export interface ListeningPeer {
  readonly process: PeerProcess;
  /** Of the loopback, where agents connect. */
  readonly port: number;
}

export interface AgentOptions {
  /** Of the loopback: the server's, or that of a long line in front of it. */
  readonly serverPort: number;
  readonly targetPort: number;
}

/** A tunnel that works: both ends, and the line between them. */
export interface Rig {
  readonly front: Front;
  readonly server: PeerProcess;
  readonly agent: PeerProcess;
  readonly stop: () => Promise<void>;
}

export interface RigOptions {
  readonly directory: string;
  readonly targetPort: number;
  /** Of the line between server and agent, milliseconds; 0: no proxy at all. */
  readonly rttMs: number;
}

export async function startRig(side: Side, options: RigOptions): Promise<Rig> {
  const { directory, targetPort, rttMs } = options;
  const stops: (() => Promise<void>)[] = [];
  const stop = async () => {
    for (const end of stops.splice(0).reverse()) await end();
  };
  try {
    const server = await side.startServer(directory, targetPort);
    stops.push(server.process.kill);
    const line = rttMs > 0 ? await startDelayLine(server.port, rttMs) : undefined;
    if (line !== undefined) stops.push(line.stop);
    const serverPort = line?.port ?? server.port;
    const agent = await side.startAgent(directory, { serverPort, targetPort });
    stops.push(agent.kill);
    const rig = { front: side.front(directory, targetPort), server: server.process, agent, stop };
    await waitUntilItWorks(side, rig);
    return rig;
  } catch (error) {
    await stop();
    throw error;
  }
}

/** A front that accepts and says nothing is no reason to wait for ever. */
const answerTimeoutMs = 5_000;

/** An agent is connected when a byte comes back through it. */
async function waitUntilItWorks(side: Side, rig: Rig): Promise<void> {
  let last = '';
  const ends = [rig.server, rig.agent];
  const outputs = () => ends.map((end) => end.output().slice(-2_000)).join('\n');
  await waitFor(
    async () => {
      if (ends.some((end) => end.hasExited)) throw new Error(`${side.name} ended:\n${outputs()}`);
      const client = createClient(rig.front);
      const timer = setTimeout(() => client.close(new Error('no answer')), answerTimeoutMs);
      try {
        await echo(await client.open('e\n'), 1);
        return true;
      } catch (error) {
        last = String(error);
        return false;
      } finally {
        clearTimeout(timer);
        client.close(new Error('tried'));
      }
    },
    {
      subject: `the tunnel of ${side.name}`,
      timeoutMs: 30_000,
      describe: () => `${last}\n${outputs()}`,
    },
  );
}
