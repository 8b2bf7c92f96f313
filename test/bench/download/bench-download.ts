// Downloads a node's executables over loopback as from upstream, and measures time and memory. Run by hand.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { parseArgs } from 'node:util';
import { V8_FLAGS } from '../../../scripts/build/executable.ts';
import type { UpstreamRequest, UpstreamResult } from '../../fixtures/download-from-upstream.ts';
import { bundleProgram } from '../../support/bundled-program.ts';
import { createTestAuthority } from '../../support/tls-authority.ts';
import { watchMemory } from '../../support/watch-memory.ts';
import { makeBenchUpstream } from './make-upstream.ts';

const usage = `Usage: ./scripts/bench-download [--runs N] [--folder DIR]

Needs MINI_K8S_COMPONENTS (a directory of executables) and MINI_K8S_EXECUTABLE (or dist/mini-k8s). Prints JSON: bytes
over the line, MB/s with hash and unpack included, the most anonymous memory, and the time of a store verification.

  --runs N       default: 3
  --folder DIR   files and store go below it; deleted at the end (default: /var/tmp)
`;

const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: '3' },
    folder: { type: 'string', default: '/var/tmp' },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) process.stdout.write(usage);
else await main(Number(values.runs), values.folder);

async function main(runs: number, parent: string): Promise<void> {
  const binDir = process.env['MINI_K8S_COMPONENTS'];
  if (binDir === undefined) throw new Error('MINI_K8S_COMPONENTS is not set');
  const executable = process.env['MINI_K8S_EXECUTABLE'] ?? path.resolve('dist/mini-k8s');
  const folder = await mkdtemp(path.join(parent, 'mini-k8s-download-'));
  try {
    const upstream = await makeBenchUpstream(folder, binDir);
    const server = await startServer(folder, upstream.directory);
    const results = [];
    for (let run = 0; run < runs; run += 1) {
      const dataDir = path.join(folder, `data-${run}`);
      const request: UpstreamRequest = {
        ...{ mirror: `https://127.0.0.1:${server.port}`, caFile: server.caFile },
        ...{ pins: upstream.pins, artifacts: upstream.artifacts, store: `${dataDir}/store` },
      };
      const download = await measureDownload(
        await bundleProgram(folder, 'download-from-upstream'),
        request,
      );
      const verifySeconds = (await measureVerify(executable, dataDir)) / 1000;
      const megabytesPerSecond = upstream.bytes / 1000 / download.elapsedMs;
      const cpuSeconds = download.cpuMs / 1000;
      const peakMib = download.peakKb / 1024;
      results.push({ megabytesPerSecond, cpuSeconds, peakMib, verifySeconds });
      await rm(dataDir, { recursive: true });
    }
    server.stop();
    process.stdout.write(`${JSON.stringify({ bytes: upstream.bytes, results }, null, 2)}\n`);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function startServer(folder: string, directory: string) {
  const authority = createTestAuthority();
  const { cert, key } = authority.issueServer({ ipAddresses: ['127.0.0.1'] });
  const file = (name: string) => path.join(folder, name);
  await writeFile(file('ca.crt'), authority.ca);
  await writeFile(file('server.crt'), cert);
  await writeFile(file('server.key'), key);
  const program = path.join(import.meta.dirname, 'serve-files.ts');
  const child = spawn(
    process.execPath,
    [program, directory, file('server.crt'), file('server.key')],
    { stdio: ['pipe', 'pipe', 'inherit'] },
  );
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  return { port: Number(line), caFile: file('ca.crt'), stop: () => child.stdin.end() };
}

async function measureDownload(
  program: string,
  request: UpstreamRequest,
): Promise<UpstreamResult & { readonly peakKb: number }> {
  const child = spawn(process.execPath, [...V8_FLAGS, program, JSON.stringify(request)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const peak = watchMemory(child);
  const output = await text(child.stdout);
  return { ...(JSON.parse(output) as UpstreamResult), peakKb: await peak };
}

async function measureVerify(executable: string, dataDir: string): Promise<number> {
  const child = spawn(executable, ['artifacts', 'verify', '--data-dir', dataDir, '-o', 'json'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const report = JSON.parse(await text(child.stdout)) as {
    readonly elapsedMs: number;
    readonly problems: readonly string[];
  };
  if (report.problems.length > 0) throw new Error(report.problems.join('; '));
  return report.elapsedMs;
}
