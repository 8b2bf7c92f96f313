import path from 'node:path';
import type { TestNode } from './node/types.ts';

const checkout = path.resolve(import.meta.dirname, '../..');
const program = path.join(checkout, 'test/fixtures/host/host-engine.ts');

/** What a node must see of the host: the checkout may lie in a directory that nodes have of their own (/tmp, /var/tmp). */
export const hostEngineBinds = [{ source: checkout, target: checkout }];

/** Calls a function of test/fixtures/host/host-engine.ts in the node, where it may change whatever it likes. */
export async function callHostEngine<T>(node: TestNode, name: string, input?: unknown): Promise<T> {
  const argument = input === undefined ? [] : [JSON.stringify(input)];
  return JSON.parse(await node.run([process.execPath, program, name, ...argument])) as T;
}
