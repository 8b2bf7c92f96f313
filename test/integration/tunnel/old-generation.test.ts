import { rm } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { V8_FLAGS } from '../../../scripts/build/executable.ts';
import { waitFor } from '../../../src/base/time.ts';
import { createClient, echo } from '../../bench/tunnel/client.ts';
import { tunnelRig } from './agent-rig.ts';
import { prepareController, spawnAgent, spawnController } from './processes.ts';

const rig = tunnelRig();
const streams = 1000;

it('streams that come and go one after the other stay out of the old generation', async () => {
  const directory = await prepareController(rig.cluster);
  rig.closers.push(() => rm(directory, { recursive: true, force: true }));
  const controller = await spawnController({ port: 0, directory }, { nodeOptions: V8_FLAGS });
  rig.closers.push(() => controller.kill());
  const addresses = [controller.address];
  const agent = await spawnAgent({ cluster: rig.cluster, nodeName: 'edge-1', addresses }, {});
  rig.closers.push(() => agent.close());
  const target = await rig.target((socket) => socket.pipe(socket));
  await waitFor(async () => (await controller.ask('count')).connected === 1, {
    subject: 'the session',
    timeoutMs: 10_000,
    describe: () => 'none',
  });
  const client = createClient({
    address: { path: controller.socketPath },
    authority: `10.244.1.5:${target.port}`,
  });
  const carry = async (count: number) => {
    for (let turn = 0; turn < count; turn += 1) {
      const socket = await client.open('hi');
      await echo(socket, 1);
      socket.destroy();
    }
  };
  // Its code is compiled by then, which is in the old generation too.
  await carry(streams);
  const { oldBytes: before } = await controller.ask('collect');
  await carry(streams);
  const { oldBytes: after } = await controller.ask('count');
  // All that belongs to one has about 4300 bytes. Node.js itself keeps what is left of both ends (src/tunnel/relay.ts).
  expect((after - before) / streams).toBeLessThan(3000);
});
