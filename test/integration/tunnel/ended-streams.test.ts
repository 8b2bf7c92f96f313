import { expect, it } from 'vitest';
import { text, tunnelRig, until } from './agent-rig.ts';
import { connectTo, established } from './harness.ts';

const rig = tunnelRig();

it('streams that are over count no more, whoever ended them', async () => {
  const echo = await rig.target((socket) => {
    socket.pipe(socket);
    socket.on('data', (chunk: Buffer) => {
      if (chunk.includes('break')) socket.resetAndDestroy();
    });
  });
  const controller = await rig.controller({ sessions: { maxStreams: 8 } });
  await rig.agent('edge-1', [controller.address]);
  await until('the session', () => controller.sessions.isConnected('edge-1'));
  const streams = () => controller.sessions.status()[0]?.streams;
  for (let turn = 0; turn < 60; turn += 1) {
    const client = await rig.open(controller.socketPath, `${connectTo('10.244.1.5', echo.port)}hi`);
    await until('the echo', () => text(client) === `${established}hi`, {
      describe: () => `${turn}: ${text(client)}`,
    });
    if (turn % 3 === 0) client.socket.destroy();
    else if (turn % 3 === 1) client.socket.end();
    else client.socket.write('break');
    await until('the end', () => streams() === 0, {
      describe: () => `${turn}: ${streams()} streams`,
    });
    client.socket.destroy();
  }
  await until('nothing to be open', () => controller.tunnel.status().activeStreams === 0);
  expect(controller.tunnel.status()).toMatchObject({ acceptedStreams: 60, refusedStreams: 0 });
});
