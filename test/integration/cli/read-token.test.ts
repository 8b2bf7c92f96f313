import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Readable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readTokenText, type TokenSources } from '../../../src/cli/read-token.ts';

let directory: string;
const file = (name: string) => path.join(directory, name);

beforeAll(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'mini-k8s-token-'));
  await writeFile(file('token'), ' secret \n');
  await writeFile(file('empty'), '\n');
  await writeFile(file('long'), 'secret'.repeat(1000));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

function read(sources: Partial<TokenSources>): Promise<string | undefined> {
  return readTokenText({
    token: undefined,
    tokenFile: undefined,
    env: {},
    stdin: Readable.from([]),
    isNeeded: async () => true,
    ...sources,
  });
}

describe('a token', () => {
  it('comes from the option, a file, stdin or the environment', async () => {
    expect(await read({ token: 'secret' })).toBe('secret');
    expect(await read({ tokenFile: file('token') })).toBe('secret');
    expect(await read({ token: '-', stdin: Readable.from(['sec', 'ret\n']) })).toBe('secret');
    expect(await read({ env: { MINI_K8S_TOKEN: 'secret' } })).toBe('secret');
    expect(await read({ token: 'secret', env: { MINI_K8S_TOKEN: 'other' } })).toBe('secret');
    expect(await read({})).toBeUndefined();
  });

  it.each([
    ['none', ': there is no such file'],
    ['empty', ' is empty'],
    ['long', ' has more than 4096 bytes'],
    ['.', ': it is a directory'],
  ])('that cannot be used, in the file %s, is told without any of it', async (name, why) => {
    const reading = read({ tokenFile: file(name) });
    await expect(reading).rejects.toMatchObject({
      what: 'read the token',
      why: `${file(name)}${why}`,
      fix: expect.any(String),
    });
    await expect(reading).rejects.not.toThrow('secret');
  });

  it('that was taken away after the join is not missed', async () => {
    const isNeeded = async () => false;
    for (const name of ['none', 'empty']) {
      expect(await read({ tokenFile: file(name), isNeeded })).toBeUndefined();
    }
    expect(await read({ tokenFile: file('token'), isNeeded })).toBe('secret');
  });
});
