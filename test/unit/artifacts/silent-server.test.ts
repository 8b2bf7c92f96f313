import { expect, test } from 'vitest';
import { expectFirstAnswer, SilentServerError } from '../../../src/artifacts/silent-server.ts';
import { StalledError } from '../../../src/artifacts/stall-guard.ts';
import { DialError } from '../../../src/base/dial-error.ts';

const noConnection = new DialError('ETIMEDOUT', 'it did not answer within 7 s', {
  isOfProxy: false,
});
const noByte = new StalledError('no byte came for 30 s');
const refused = new DialError('ECONNREFUSED', 'it refuses connections', { isOfProxy: false });

/** A server that answers with what it is given, or fails with it. */
function serverWith(firstByteMs: number | undefined) {
  let asked = 0;
  const answer = expectFirstAnswer(firstByteMs);
  return {
    asked: () => asked,
    firstByteMs: () => answer.firstByteMs(),
    ask: (result: 'answer' | Error) =>
      answer.wait(() => {
        asked += 1;
        return result instanceof Error ? Promise.reject(result) : Promise.resolve(result);
      }),
  };
}

test.each([noConnection, noByte])(
  'a server that gave no answer in its time is not asked again: $message',
  async (error) => {
    const server = serverWith(10_000);
    await expect(server.ask(error)).rejects.toThrow(SilentServerError);
    await expect(server.ask('answer')).rejects.toThrow(error.message);
    expect(server.asked()).toBe(1);
  },
);

test('one that has answered is slow later on, and asked again', async () => {
  const server = serverWith(10_000);
  expect(server.firstByteMs()).toBe(10_000);
  expect(await server.ask('answer')).toBe('answer');
  expect(server.firstByteMs()).toBeUndefined();
  await expect(server.ask(noByte)).rejects.toBe(noByte);
  await expect(server.ask(noConnection)).rejects.toBe(noConnection);
  expect(await server.ask('answer')).toBe('answer');
});

test('one that refuses has said something, and may come back', async () => {
  const server = serverWith(10_000);
  await expect(server.ask(refused)).rejects.toBe(refused);
  expect(await server.ask('answer')).toBe('answer');
});

test('one that nothing can replace is waited for again and again', async () => {
  const server = serverWith(undefined);
  await expect(server.ask(noConnection)).rejects.toBe(noConnection);
  await expect(server.ask(noByte)).rejects.toBe(noByte);
  expect(await server.ask('answer')).toBe('answer');
});
