import type { CommandSpec, Invocation } from '../command.ts';

/** Another program's command line, run with this node's credentials; its exit code is ours. */
export const kubectlCommand: CommandSpec = {
  usage: 'kubectl [args...]',
  description: 'run kubectl as the cluster administrator (or with KUBECONFIG, when that is set)',
  passesThrough: true,
  run: (invocation) => pass(invocation, 'kubectl'),
};

export const ctrCommand: CommandSpec = {
  usage: 'ctr [args...]',
  description: "run containerd's ctr on this node's containers (namespace k8s.io)",
  passesThrough: true,
  run: (invocation) => pass(invocation, 'ctr'),
};

export const etcdctlCommand: CommandSpec = {
  usage: 'etcdctl [args...]',
  description: "run etcdctl on this controller's etcd",
  passesThrough: true,
  run: (invocation) => pass(invocation, 'etcdctl'),
};

async function pass(invocation: Invocation, tool: 'kubectl' | 'ctr' | 'etcdctl'): Promise<number> {
  const { runTool } = await import('../../node/run-tool.ts');
  return runTool(tool, { args: invocation.args, env: invocation.context.env });
}
