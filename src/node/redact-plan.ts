import type { FileSpec } from '../base/files.ts';
import type { NodePlan } from './plan-types.ts';

/** The plan as `--dry-run` prints it: the content of files that only their owner may read is left out. */
export function redactPlan(plan: NodePlan): NodePlan {
  const { worker } = plan;
  return {
    ...plan,
    files: plan.files.map(redactFile),
    ...(worker === undefined
      ? {}
      : { worker: { ...worker, memberFiles: worker.memberFiles.map(redactFile) } }),
  };
}

function redactFile(file: FileSpec): FileSpec {
  if ((file.mode & 0o077) !== 0) return file;
  const content = `<${file.content.length} characters, mode 0${file.mode.toString(8)}>`;
  return { ...file, content };
}
