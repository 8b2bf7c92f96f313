import path from 'node:path';
import type { TestNode } from './node/types.ts';

const program = path.resolve(import.meta.dirname, '../fixtures/host/host-engine.ts');

/** Calls a function of test/fixtures/host/host-engine.ts in the node, where it may change whatever it likes. */
export async function callHostEngine<T>(node: TestNode, name: string, input?: unknown): Promise<T> {
  const argument = input === undefined ? [] : [JSON.stringify(input)];
  return JSON.parse(await node.run([process.execPath, program, name, ...argument])) as T;
}
