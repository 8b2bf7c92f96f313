import { type LookupAddress, lookup } from 'node:dns';
import type { LookupFunction } from 'node:net';

/** A name that is known already waits for its resolver this long; the machine's own time-outs are many seconds. */
const patienceMs = 1_000;

type Answer = { readonly addresses: readonly LookupAddress[] } | { readonly error: Error };
/** Calls back once. */
export type NameResolver = (name: string, callback: (answer: Answer) => void) => void;

/**
 * Resolves names anew by each call, with two mercies for machines whose resolver does not answer: calls for one name
 * at the same time are one question (a question occupies one of the few threads that also write files), and what a
 * name was the last time is good when nobody can say what it is now.
 */
export function createNameLookup(resolve: NameResolver = resolveBySystem): LookupFunction {
  const pending = new Map<string, ((answer: Answer) => void)[]>();
  const lastKnown = new Map<string, readonly LookupAddress[]>();

  function ask(name: string, callback: (answer: Answer) => void): void {
    const waiting = pending.get(name);
    if (waiting !== undefined) {
      waiting.push(callback);
      return;
    }
    const callbacks = [callback];
    pending.set(name, callbacks);
    resolve(name, (answer) => {
      pending.delete(name);
      if ('addresses' in answer) lastKnown.set(name, answer.addresses);
      for (const each of callbacks) each(answer);
    });
  }

  return (name, _options, callback) => {
    const known = lastKnown.get(name);
    let isAnswered = false;
    const finish = (answer: Answer) => {
      if (isAnswered) return;
      isAnswered = true;
      clearTimeout(timer);
      if ('addresses' in answer) callback(null, [...answer.addresses]);
      else if (known !== undefined) callback(null, [...known]);
      else callback(answer.error, []);
    };
    const timer =
      known === undefined
        ? undefined
        : setTimeout(() => finish({ addresses: known }), patienceMs).unref();
    ask(name, finish);
  };
}

function resolveBySystem(name: string, callback: (answer: Answer) => void): void {
  lookup(name, { all: true }, (error, addresses) =>
    callback(error === null ? { addresses } : { error }),
  );
}
