import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { goVersion } from '../../../scripts/components/go-toolchain.ts';
import { hostArchitecture } from '../../../scripts/components/image-files.ts';
import { waitFor } from '../../../src/base/time.ts';

const program = path.resolve(import.meta.dirname, '../../../scripts/build-components');

let directory = '';

beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'build-components-'));
});

afterEach(async () => {
  await rm(directory, { recursive: true, force: true });
});

function start(args: readonly string[]) {
  const child = spawn(program, args, {
    env: {
      ...process.env,
      XDG_CACHE_HOME: path.join(directory, 'cache'),
      PATH: `${path.join(directory, 'bin')}:${process.env['PATH']}`,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const finished = Promise.all([once(child, 'close'), text(child.stdout), text(child.stderr)]).then(
    ([[exitCode], stdout, stderr]) => ({ exitCode: exitCode as number | null, stdout, stderr }),
  );
  return { child, finished };
}

async function run(...args: readonly string[]) {
  return await start(args).finished;
}

/** A `go` that is a shell script: real enough for the script, and under the test's control. */
async function installGo(body: string): Promise<void> {
  const file = path.join(directory, 'bin', 'go');
  await mkdir(path.dirname(file), { recursive: true });
  await writeFile(
    file,
    `#!/bin/sh\nif [ "$1 $2" = 'env GOVERSION' ]; then echo go${goVersion}; exit 0; fi\n${body}\n`,
  );
  await chmod(file, 0o755);
}

/** Writes the executable that the script asks for, which says its version as the real one. */
const workingGo = `
echo "$GOTOOLCHAIN $GOFLAGS $GOARCH $CGO_ENABLED" > "${'$'}{XDG_CACHE_HOME}/go-environment"
while [ "$1" != -o ]; do shift; done
printf '#!/bin/sh\\necho crictl version v1.36.0\\n' > "$2/crictl"
`;

function cacheDirectory(): string {
  return path.join(directory, 'cache', 'mini-k8s', 'components', hostArchitecture());
}

describe('build-components', () => {
  test('--help says what it does, and bad flags are a usage error', async () => {
    const help = await run('--help');
    expect(help).toMatchObject({ exitCode: 0, stderr: '' });
    expect(help.stdout).toContain('--arch');
    const architecture = await run('--arch', 'mips');
    expect(architecture.exitCode).toBe(2);
    expect(architecture.stderr).toContain('--arch takes amd64 or arm64, not "mips"');
    const component = await run('--only', 'kine');
    expect(component.exitCode).toBe(1);
    expect(component.stderr).toContain('Cannot build kine: there is no such component or image');
    expect(existsSync(cacheDirectory())).toBe(false);
  });

  test('builds once, links the executable, and writes the bundle that was asked for', async () => {
    await installGo(workingGo);
    const out = path.join(directory, 'out');
    const first = await run('--only', 'crictl', '--only', 'pause', '--out', out);
    expect(first.stderr).toMatch(/✓ crictl 1\.36\.0 {2}[\d.]+ s {2}\(1 executable, /);
    expect(first.exitCode).toBe(0);
    const [, sha256] = /^bundle \S+ sha256:([0-9a-f]{64})\n$/.exec(first.stdout) ?? [];
    expect(first.stdout).toContain(`bundle ${out} `);
    expect(existsSync(path.join(cacheDirectory(), 'bin', 'crictl'))).toBe(true);
    expect(await readFile(path.join(directory, 'cache', 'go-environment'), 'utf8')).toBe(
      `go${goVersion} -mod=readonly -buildvcs=false ${hostArchitecture()} 0\n`,
    );

    await installGo('exit 1');
    const second = await run('--only', 'crictl', '--out', out, '--print-index-sha256');
    expect(second.stderr).toContain('✓ crictl 1.36.0  cached');
    expect(second.stdout).toMatch(/^[0-9a-f]{64}\n$/);
    const third = await run(
      ...['--only', 'crictl', '--only', 'pause', '--out', out, '--print-index-sha256'],
    );
    expect(third.stdout).toBe(`${sha256}\n`);
  });

  test('two builds at the same time take turns, and the second finds the result of the first', async () => {
    const runs = path.join(directory, 'runs');
    await installGo(`echo run >> ${runs}\n${workingGo}`);
    const both = await Promise.all([run('--only', 'crictl'), run('--only', 'crictl')]);
    expect(both.map(({ exitCode }) => exitCode)).toEqual([0, 0]);
    expect(both.filter(({ stderr }) => stderr.includes('crictl 1.36.0  cached'))).toHaveLength(1);
    expect(await readFile(runs, 'utf8')).toBe('run\n');
  });

  test('a refused module is one clear line, and nothing half-made stays', async () => {
    await installGo('echo "go: sigs.k8s.io/cri-tools@v1.36.0: 403 Forbidden" >&2; exit 1');
    const { exitCode, stderr, stdout } = await run('--only', 'crictl');
    expect(exitCode).toBe(1);
    expect(stdout).toBe('');
    expect(stderr).toContain(
      'Cannot build crictl: module sigs.k8s.io/cri-tools@v1.36.0 was refused: 403 Forbidden\nfix: ',
    );
    expect(await readdir(cacheDirectory())).toEqual([]);
  });

  test('an executable that does not say the pinned version is not taken', async () => {
    await installGo(workingGo.replace('v1.36.0', 'v1.35.0'));
    const { exitCode, stderr } = await run('--only', 'crictl');
    expect(exitCode).toBe(1);
    expect(stderr).toContain('does not say 1.36.0: crictl version v1.35.0');
    expect(await readdir(cacheDirectory())).toEqual([]);
  });

  test('Ctrl-C ends the compiler, leaves nothing half-made, and says that one can go on', async () => {
    const pidFile = path.join(directory, 'pid');
    await installGo(`echo $$ > ${pidFile}\nexec sleep 60`);
    const { child, finished } = start(['--only', 'crictl']);
    const pid = await waitFor(
      async () => existsSync(pidFile) && ((await readFile(pidFile, 'utf8')).trim() || undefined),
      { subject: 'the compiler to run', timeoutMs: 60_000 },
    );
    child.kill('SIGINT');
    const { exitCode, stderr } = await finished;
    expect(exitCode).toBe(130);
    expect(stderr).toContain('Stopped. What is finished is kept');
    expect(existsSync(`/proc/${pid}`)).toBe(false);
    expect(await readdir(cacheDirectory())).toEqual([]);
  });
});
