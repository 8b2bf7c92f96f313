import { randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import artifacts from '../../../assets/artifacts.json' with { type: 'json' };
import { importBundle } from '../../../src/artifacts/bundle.ts';
import {
  componentMembers,
  componentVersion,
  isComponentName,
} from '../../../src/artifacts/catalog.ts';
import { createLayoutWriter } from '../../../src/artifacts/oci-layout.ts';
import { type ArtifactStore, openStore } from '../../../src/artifacts/store.ts';
import { run } from '../../../src/cli/run.ts';
import { fakeContext } from '../../support/fake-stream.ts';
import { makeTar, neverAborted, temporaryFolder } from '../artifacts/bundle-fixture.ts';

export const extraImage = 'registry.example/shop:1.2';

export interface BundleRig {
  readonly folder: string;
  readonly dataDir: string;
  readonly config: string;
  /** A machine's store that has everything of this release for both architectures, in small. */
  readonly store: ArtifactStore;
}

interface CliResult {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

interface RigOptions {
  /** Of random content; a small script when left out. */
  readonly kubeletBytes?: number;
}

/** A machine without a network. */
export async function bundleRig(options: RigOptions = {}): Promise<BundleRig> {
  const folder = await temporaryFolder();
  const config = path.join(folder, 'config.yaml');
  await writeFile(config, 'spec: { artifacts: { upstream: { enabled: false } } }\n');
  const dataDir = path.join(folder, 'data');
  await mkdir(dataDir);
  const store = await openStore(path.join(dataDir, 'store'));
  const release = await makeRelease(folder, options);
  await importBundle({
    ...{ path: release.directory, store, trustBundle: release.indexSha256 },
    ...{ onEvent: () => {}, signal: neverAborted },
  });
  return { folder, dataDir, config, store };
}

export async function runCli(...args: readonly string[]): Promise<CliResult> {
  const context = fakeContext();
  const exitCode = await run(args, context);
  return { exitCode, stdout: context.stdout.text(), stderr: context.stderr.text() };
}

/** A directory with one manifest, and what is none. */
export async function makeStack(
  { folder }: BundleRig,
  name: string,
  text?: string,
): Promise<string> {
  const directory = path.join(folder, 'stacks', name);
  await mkdir(directory, { recursive: true });
  const object = 'apiVersion: v1\nkind: ConfigMap\nmetadata: { name: web }\n';
  await writeFile(path.join(directory, 'web.yaml'), text ?? object);
  await writeFile(path.join(directory, 'README.txt'), 'not a manifest');
  return directory;
}

async function makeRelease(folder: string, { kubeletBytes }: RigOptions) {
  const sources = path.join(folder, 'sources');
  await mkdir(sources);
  const directory = path.join(folder, 'release');
  const writer = await createLayoutWriter(directory);
  for (const arch of ['amd64', 'arm64'] as const) {
    for (const name of Object.keys(artifacts.components).filter(isComponentName)) {
      const executables = [];
      for (const member of componentMembers(name)) {
        const file = path.join(sources, `${member}-${arch}`);
        const isBig = member === 'kubelet' && kubeletBytes !== undefined;
        await writeFile(
          file,
          isBig ? randomBytes(kubeletBytes) : `#!/bin/sh\necho ${member} ${arch}\n`,
        );
        executables.push({ name: member, file });
      }
      const version = componentVersion(name);
      await writer.addComponent({ name, version, arch, builtFrom: 'source', executables });
    }
    const ours = Object.values(artifacts.images).map(
      ({ repository, tag }) => `${repository}:${tag}`,
    );
    for (const reference of [...ours, extraImage]) {
      const tar = makeTar([{ path: 'a', content: Buffer.from(`${reference} ${arch}`) }]);
      const layers = [{ blob: await writer.addBlob(tar) }];
      await writer.addImage({ reference, arch, layers, config: { Cmd: ['/a'] } });
    }
  }
  return { directory, ...(await writer.finish()) };
}
