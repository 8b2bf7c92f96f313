import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import path from 'node:path';
import { createNode } from '../node/create-node.ts';
import type { BindMount, NodeOptions, TestNode } from '../node/types.ts';

/** Where a node of the e2e tests has the product, whatever the host's paths are. */
export const nodePaths = {
  executable: '/usr/local/bin/mini-k8s',
  bundle: '/opt/mini-k8s/bundle',
  /** Images for the pods of tests. */
  testImages: '/opt/mini-k8s/test-bundle',
} as const;

/** In the node's containerd after `cluster.importTestImage()`: /bin/busybox and its applets. */
export const testImage = 'mini-k8s.io/test/busybox:1';

const ROOT = path.resolve(import.meta.dirname, '../../..');

/** What is under test: the built executable, the components' bundle and the images of test pods, on the host. */
export interface Product {
  readonly executable: string;
  readonly bundle: string;
  /** What `--trust-bundle` takes. */
  readonly bundleSha256: string;
  readonly testImages: string;
}

/**
 * Finds the product. `MINI_K8S_EXECUTABLE` names another executable than `dist/mini-k8s`.
 * @throws Error that names the command which makes what is missing.
 */
export function findProduct(): Product {
  const cache = process.env['XDG_CACHE_HOME'] ?? path.join(homedir(), '.cache');
  const arch = process.arch === 'arm64' ? 'arm64' : 'amd64';
  const components = path.join(cache, 'mini-k8s', 'components', arch);
  const product = {
    executable: process.env['MINI_K8S_EXECUTABLE'] ?? path.join(ROOT, 'dist', 'mini-k8s'),
    bundle: path.join(components, 'bundle'),
    testImages: path.join(components, 'test-bundle'),
  };
  requireFile(product.executable, './scripts/node scripts/build.ts');
  requireFile(path.join(product.testImages, 'busybox.tar'), './scripts/build-components');
  const index = requireFile(path.join(product.bundle, 'index.json'), './scripts/build-components');
  const bundleSha256 = createHash('sha256').update(readFileSync(index)).digest('hex');
  return { ...product, bundleSha256 };
}

/** Creates a node that has the product at `nodePaths`; read-only, by bind mounts. */
export function createProductNode(options: NodeOptions): Promise<TestNode> {
  return createNode({ ...options, binds: [...(options.binds ?? []), ...productBinds()] });
}

/** For nodes that are made in another way. */
export function productBinds(product: Product = findProduct()): readonly BindMount[] {
  return [
    { source: product.executable, target: nodePaths.executable },
    { source: product.bundle, target: nodePaths.bundle },
    { source: product.testImages, target: nodePaths.testImages },
  ];
}

function requireFile(file: string, command: string): string {
  if (existsSync(file)) return file;
  throw new Error(`${file} is not there: run ${command} first`);
}
