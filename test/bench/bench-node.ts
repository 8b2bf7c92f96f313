import { waitFor } from '../../src/base/time.ts';
import { defaultDataDir } from '../../src/config/paths.ts';
import { createProductNode, findProduct, nodePaths } from '../support/e2e/product.ts';
import type { TestNode } from '../support/node/types.ts';
import type { BenchOptions } from './options.ts';

/** One of the configurations that are measured in turns. */
export interface Variant {
  readonly name: string;
  /** Path in the node. */
  readonly executable: string;
  readonly hostExecutable: string;
  /** Content of /etc/mini-k8s/config.yaml. */
  readonly config: string;
}

const BASELINE_EXECUTABLE = '/usr/local/bin/mini-k8s-baseline';
const CONFIG_FILE = '/etc/mini-k8s/config.yaml';
const STORE = `${defaultDataDir}/store`;
/** On the same file system, so that moving copies nothing. */
const SAVED_STORE = '/var/lib/mini-k8s-bench-store';

/** The configurations that the options ask for; the first is the one that the targets are for. */
export function planVariants(options: BenchOptions): readonly Variant[] {
  const { executable: hostExecutable } = findProduct();
  const subject = {
    name: 'mini-k8s',
    executable: nodePaths.executable,
    hostExecutable,
    config: configWith('small'),
  };
  const { baseline } = options;
  if (baseline === undefined) return [subject];
  return baseline.kind === 'upstream-defaults'
    ? [subject, { ...subject, name: 'upstream defaults', config: configWith('upstream') }]
    : [
        subject,
        {
          ...subject,
          name: 'baseline',
          executable: BASELINE_EXECUTABLE,
          hostExecutable: baseline.path,
        },
      ];
}

function configWith(tuning: 'small' | 'upstream'): string {
  return `apiVersion: mini-k8s.io/v1alpha1\nkind: ClusterConfig\nspec:\n  tuning: ${tuning}\n`;
}

/** A node with one CPU and 1 GiB that has every variant's executable and every component in its store. */
export async function createBenchNode(
  name: string,
  variants: readonly Variant[],
): Promise<TestNode> {
  const node = await createProductNode({
    name,
    binds: variants
      .filter(({ executable }) => executable !== nodePaths.executable)
      .map(({ executable, hostExecutable }) => ({ source: hostExecutable, target: executable })),
  });
  try {
    await fillStore(node);
    return node;
  } catch (error) {
    await node.destroy();
    throw error;
  }
}

/** The import of the components is no part of any measurement. */
async function fillStore(node: TestNode): Promise<void> {
  const { bundleSha256 } = findProduct();
  const bundle = ['--bundle', nodePaths.bundle, '--trust-bundle', bundleSha256];
  const controller = node.spawn([nodePaths.executable, 'controller', ...bundle]);
  const say = () => controller.output().trimEnd().split('\n').slice(-20).join('\n');
  await waitFor(
    () => {
      if (controller.exitCode === undefined) return /^✓ configuration files/m.test(say());
      throw new Error(`The import of the components failed:\n${say()}`);
    },
    { subject: 'the components to be in the store', timeoutMs: 180_000, describe: say },
  );
  controller.kill('SIGTERM');
  await controller.exited;
}

/** Takes the node back to the state before a first start: nothing but the store and the configuration. */
export async function prepareFirstStart(node: TestNode, variant: Variant): Promise<void> {
  await resetKeepingStore(node);
  await node.writeFile(CONFIG_FILE, variant.config);
}

/** `mini-k8s reset`, but components and images stay. */
export async function resetKeepingStore(node: TestNode): Promise<void> {
  await node.run(['mv', STORE, SAVED_STORE]);
  await node.run([nodePaths.executable, 'reset', '--yes'], { timeoutMs: 120_000 });
  await node.run(['mkdir', '-p', defaultDataDir]);
  await node.run(['mv', SAVED_STORE, STORE]);
}
