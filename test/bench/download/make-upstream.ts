import { execFile } from 'node:child_process';
import { cp, mkdir, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import artifacts from '../../../assets/artifacts.json' with { type: 'json' };
import { hashFile } from '../../../src/artifacts/blobs.ts';
import type { UpstreamComponent } from '../../../src/artifacts/catalog.ts';
import type { Architecture, ExecutableArtifact } from '../../../src/artifacts/types.ts';

const run = promisify(execFile);

/** A directory as upstream's hosts have it, made of executables that were built here, and its pins. */
export interface BenchUpstream {
  readonly directory: string;
  readonly pins: Readonly<Record<string, UpstreamComponent>>;
  /** All executables of all components. */
  readonly artifacts: readonly ExecutableArtifact[];
  /** Of all files, as they go over the line. */
  readonly bytes: number;
}

/** @param binDir Executables by name, as `scripts/build-components` leaves them. */
export async function makeBenchUpstream(folder: string, binDir: string): Promise<BenchUpstream> {
  const arch: Architecture = process.arch === 'arm64' ? 'arm64' : 'amd64';
  const directory = path.join(folder, 'upstream');
  const pins: Record<string, UpstreamComponent> = {};
  const wanted: ExecutableArtifact[] = [];
  let bytes = 0;
  for (const [name, component] of Object.entries<UpstreamComponent>(artifacts.components)) {
    const { version } = component;
    const fill = (text: string) => text.replaceAll('{version}', version).replaceAll('{arch}', arch);
    const files = [];
    for (const file of component.files) {
      const target = path.join(directory, new URL(fill(file.url)).pathname);
      await mkdir(path.dirname(target), { recursive: true });
      const members = file.members.map((member) => ({
        source: path.join(binDir, member.name),
        path: fill(member.path ?? member.name),
      }));
      if (file.archive === undefined) await cp(members[0]?.source ?? '', target);
      else await pack(path.join(folder, 'unpacked'), members, target);
      const { digest, size } = await hashFile(target);
      const sha256 = digest.slice('sha256:'.length);
      files.push({
        ...file,
        sha256: { amd64: sha256, arm64: sha256 },
        members: file.members.map(({ sha256: _, ...member }) => member),
      });
      bytes += size;
    }
    pins[name] = { version, files };
    const members = files.flatMap((file) => file.members.map((it) => it.name));
    wanted.push({
      ...{ kind: 'executable', name, version, arch },
      members: members.map((member) => ({ name: member, path: `/bin/${member}` })),
    });
  }
  return { directory, pins, artifacts: wanted, bytes };
}

async function pack(
  folder: string,
  members: readonly { readonly source: string; readonly path: string }[],
  target: string,
): Promise<void> {
  await rm(folder, { recursive: true, force: true });
  for (const member of members) {
    const file = path.join(folder, member.path);
    await mkdir(path.dirname(file), { recursive: true });
    await cp(member.source, file);
  }
  await run('tar', ['-C', folder, '-czf', target, '.']);
  if ((await stat(target)).size === 0) throw new Error(`${target} is empty`);
}
