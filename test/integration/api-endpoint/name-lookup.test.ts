import type { LookupAddress } from 'node:dns';
import { expect, test } from 'vitest';
import { createNameLookup } from '../../../src/api-endpoint/name-lookup.ts';

type Answer = { readonly addresses: readonly LookupAddress[] } | { readonly error: Error };

/** A resolver whose answers come when the test says. */
function createResolver() {
  const questions: { name: string; answer: (answer: Answer) => void }[] = [];
  const lookup = createNameLookup((name, answer) => questions.push({ name, answer }));
  const ask = (name: string) =>
    new Promise<string>((resolve) =>
      lookup(name, { all: true }, (error, addresses) => {
        const found = typeof addresses === 'string' ? [] : addresses;
        resolve(error === null ? found.map(({ address }) => address).join() : error.message);
      }),
    );
  return { questions, ask };
}

const is = (address: string): Answer => ({ addresses: [{ address, family: 4 }] });
const fails: Answer = { error: new Error('no resolver') };

test('each call asks anew', async () => {
  const { questions, ask } = createResolver();
  for (const address of ['10.0.0.1', '10.0.0.2']) {
    const answer = ask('api.example');
    questions.at(-1)?.answer(is(address));
    expect(await answer).toBe(address);
  }
  expect(questions).toHaveLength(2);
});

test('calls at the same time are one question', async () => {
  const { questions, ask } = createResolver();
  const answers = [ask('api.example'), ask('api.example'), ask('b.example')];
  expect(questions.map(({ name }) => name)).toEqual(['api.example', 'b.example']);
  for (const { answer } of questions) answer(is('10.0.0.1'));
  expect(await Promise.all(answers)).toEqual(['10.0.0.1', '10.0.0.1', '10.0.0.1']);
});

test('what a name was is good when nobody answers, and when the answer takes long', async () => {
  const { questions, ask } = createResolver();
  const unknown = ask('api.example');
  questions[0]?.answer(fails);
  expect(await unknown).toBe('no resolver');
  const known = ask('api.example');
  questions[1]?.answer(is('10.0.0.1'));
  expect(await known).toBe('10.0.0.1');
  const failed = ask('api.example');
  questions[2]?.answer(fails);
  expect(await failed).toBe('10.0.0.1');
  // The resolver hangs: a second is enough.
  expect(await ask('api.example')).toBe('10.0.0.1');
  questions[3]?.answer(is('10.0.0.9'));
  const now = ask('api.example');
  questions[4]?.answer(fails);
  expect(await now).toBe('10.0.0.9');
});
