import type { FileSpec } from '../base/files.ts';
import type { ProcessSpec } from '../supervisor/types.ts';
import type { Planned } from './prepare.ts';

/** What a node does by its plan, with the secrets filled in. */
export interface ProcessView {
  readonly processes: readonly ProcessSpec[];
  readonly files: readonly FileSpec[];
}

/**
 * The processes that have to be started anew: their own description is another one, or a file that they are pointed
 * at, by their arguments or by such a file. What they read again by themselves, such as certificates and containerd's
 * registries, is no file of that kind. Pure.
 */
export function changedProcesses(before: ProcessView, after: ProcessView): string[] {
  const known = new Map(before.processes.map((process) => [process.name, process]));
  return after.processes
    .filter((process) => {
      const old = known.get(process.name);
      return old === undefined || inputsOf(old, before) !== inputsOf(process, after);
    })
    .map(({ name }) => name);
}

/** Everything that a process has when it starts, as one text. */
function inputsOf(process: ProcessSpec, { files }: ProcessView): string {
  return JSON.stringify([process, readFiles(process, files)]);
}

/** The planned files that a process reads, in the order in which it is led to them. */
function readFiles(process: ProcessSpec, files: readonly FileSpec[]): FileSpec[] {
  const found: FileSpec[] = [];
  const texts = [...process.args];
  for (let text = texts.shift(); text !== undefined; text = texts.shift()) {
    const named = files.filter((file) => isNamed(file.path, text) && !found.includes(file));
    found.push(...named);
    texts.push(...named.map(({ content }) => content));
  }
  return found;
}

/** Whether a text has a path in it, and not only a longer one that begins like it. */
function isNamed(path: string, text: string | undefined): boolean {
  const at = text?.indexOf(path) ?? -1;
  return at >= 0 && !/^[\w.-]/.test(text?.slice(at + path.length) ?? '');
}

/** The loops of this program that were made from a part of the plan that is another one now. Pure. */
export function changedLoops(before: Planned, after: Planned): string[] {
  const differs = (part: (planned: Planned) => unknown) =>
    JSON.stringify(part(before)) !== JSON.stringify(part(after));
  return [
    ...(differs(({ plan }) => plan.images) ? ['images'] : []),
    ...(differs(({ plan }) => plan.pki) ? ['certificates'] : []),
    ...(differs(({ config }) => config.spec.node.labels) ? ['local-node'] : []),
  ];
}
