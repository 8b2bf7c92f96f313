import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { build } from 'esbuild';
import artifacts from '../../../assets/artifacts.json' with { type: 'json' };
import type { UpstreamComponent, UpstreamFile } from '../../../src/artifacts/catalog.ts';
import { machineArch } from '../../../src/node/host-facts.ts';
import { componentBinary } from '../components.ts';
import type { BindMount } from '../node/types.ts';

const run = promisify(execFile);
const arch = machineArch();

/**
 * What the projects would publish if the components of this machine were theirs, and mini-k8s as it would be released
 * with the hashes of that: a mirror gives nothing of which the hash is not pinned.
 */
export interface OwnUpstream {
  /** On this machine, by upstream's path: `/v1.37.1/bin/linux/amd64/kubelet`. */
  readonly files: ReadonlyMap<string, string>;
  /** For the nodes that shall have that mini-k8s. */
  readonly binds: readonly BindMount[];
  /** It, on such a node: the program of this checkout on the Node.js of this process. */
  readonly command: readonly string[];
  remove(): Promise<void>;
}

export async function makeOwnUpstream(): Promise<OwnUpstream> {
  const folder = await mkdtemp(path.join(tmpdir(), 'mini-k8s-upstream-'));
  const remove = () => rm(folder, { recursive: true, force: true });
  try {
    const files = new Map<string, string>();
    const components: Record<string, UpstreamComponent> = {};
    for (const [name, component] of Object.entries<UpstreamComponent>(artifacts.components)) {
      const published: UpstreamFile[] = [];
      for (const file of component.files) {
        const { pathname } = new URL(fill(file.url, component));
        const place = await publish(file, component, path.join(folder, path.basename(pathname)));
        files.set(pathname, place);
        published.push(await pin(file, place));
      }
      components[name] = { ...component, files: published };
    }
    const program = await bundleProgram(folder, { ...artifacts, components });
    const [node, main] = ['/opt/mini-k8s/node', '/opt/mini-k8s/mini-k8s.cjs'];
    const binds = [
      { source: process.execPath, target: node },
      { source: program, target: main },
    ];
    return { files, binds, command: [node, main], remove };
  } catch (error) {
    await remove();
    throw error;
  }
}

/** @returns where the file is: an executable as it was built, or an archive that is made at `target`. */
async function publish(
  { archive, members }: UpstreamFile,
  component: UpstreamComponent,
  target: string,
): Promise<string> {
  const [first] = members;
  if (first === undefined) throw new Error(`${target} has no members`);
  const built = componentBinary(first.name);
  if (archive === undefined) return built;
  const inside = path.dirname(fill(first.path ?? first.name, component));
  const names = members.map(({ name }) => name);
  await run('tar', [
    ...['--create', '--file', target, '--use-compress-program', 'gzip -1'],
    ...(inside === '.' ? [] : ['--transform', `s,^,${inside}/,`]),
    ...['--directory', path.dirname(built), ...names],
  ]);
  return target;
}

/** The entry of assets/artifacts.json for another content. */
async function pin(file: UpstreamFile, place: string): Promise<UpstreamFile> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(place)) hash.update(chunk as Buffer);
  const members = file.members.map(({ sha256: _, ...member }) => member);
  return { ...file, sha256: { ...file.sha256, [arch]: hash.digest('hex') }, members };
}

function fill(template: string, { version }: UpstreamComponent): string {
  return template.replaceAll('{version}', version).replaceAll('{arch}', arch);
}

async function bundleProgram(folder: string, pins: object): Promise<string> {
  const outfile = path.join(folder, 'mini-k8s.cjs');
  await build({
    entryPoints: [path.resolve(import.meta.dirname, '../../../src/main.ts')],
    ...{ outfile, bundle: true, platform: 'node', target: 'node24', format: 'cjs' },
    logLevel: 'warning',
    plugins: [
      {
        name: 'own-pins',
        setup: (bundler) => {
          bundler.onLoad({ filter: /\/assets\/artifacts\.json$/ }, () => {
            return { contents: JSON.stringify(pins), loader: 'json' };
          });
        },
      },
    ],
  });
  return outfile;
}
