import { getRawAsset } from 'node:sea';
import { compileFunction } from 'node:vm';

// Part of the executable, before the program: see detached.ts.

export const detachedPrefix = 'detached:';

interface Chunk {
  exports: object;
}

type RunChunk = (exports: object, require: NodeJS.Require, module: Chunk, global: object) => void;

/** The `require` of the program: chunks by their name, and what is built into Node.js. */
export function withDetached(builtIn: NodeJS.Require): (name: string) => unknown {
  const loaded = new Map<string, WeakRef<object>>();
  return (name) => {
    if (!name.startsWith(detachedPrefix)) return builtIn(name) as unknown;
    const known = loaded.get(name)?.deref();
    if (known !== undefined) return known;
    const exports = load(name, builtIn);
    loaded.set(name, new WeakRef(exports));
    return exports;
  };
}

function load(name: string, builtIn: NodeJS.Require): object {
  // One byte a character: the build takes no other source.
  const source = Buffer.from(getRawAsset(name.slice(detachedPrefix.length))).toString('latin1');
  const parameters = ['exports', 'require', 'module', 'globalThis'];
  const run = compileFunction(source, parameters, { filename: name }) as RunChunk;
  const module: Chunk = { exports: {} };
  // What a library leaves in the global object would hold it for ever.
  run(module.exports, builtIn, module, Object.create(globalThis) as object);
  return module.exports;
}
