import type { NodePlan } from './plan-types.ts';

/** The plan as `--dry-run` prints it: the content of files that only their owner may read is left out. */
export function redactPlan(plan: NodePlan): NodePlan {
  return {
    ...plan,
    files: plan.files.map((file) =>
      (file.mode & 0o077) === 0
        ? {
            ...file,
            content: `<${file.content.length} characters, mode 0${file.mode.toString(8)}>`,
          }
        : file,
    ),
  };
}
