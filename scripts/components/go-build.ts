import { chmod, mkdir, readFile, rename } from 'node:fs/promises';
import path from 'node:path';
import type { Architecture } from '../../src/artifacts/types.ts';
import { UserError } from '../../src/base/errors.ts';
import { type DebianRoot, definedEnvironment } from './debian.ts';
import { explainGoFailure } from './go-failure.ts';
import type { GoRecipe } from './go-recipes.ts';
import type { GoToolchain } from './go-toolchain.ts';
import { compilerFor, hostArchitecture } from './image-files.ts';
import { goBuildArguments } from './recipe-hash.ts';
import { runCommand } from './run-command.ts';

export interface GoBuildOptions {
  readonly recipe: GoRecipe;
  readonly version: string;
  readonly arch: Architecture;
  readonly go: GoToolchain;
  readonly moduleDirectory: string;
  /** Gets one file per executable. */
  readonly outputDirectory: string;
  /** Actions of the Go tool at the same time. */
  readonly jobs: number;
  /** Only for C code of another architecture. */
  readonly sysroot?: DebianRoot | undefined;
  readonly signal: AbortSignal;
}

/**
 * Builds all executables of a wrapper module with one `go build`, and asks each for its version.
 * @throws UserError that names the module or tool that is to blame.
 */
export async function buildGoExecutables(options: GoBuildOptions): Promise<void> {
  const { recipe, outputDirectory, signal } = options;
  await mkdir(outputDirectory, { recursive: true });
  const args = [
    'build',
    '-p',
    String(options.jobs),
    ...goBuildArguments(recipe, options.version),
    '-o',
    `${outputDirectory}/`,
    ...recipe.executables.map((executable) => executable.package),
  ];
  const { exitCode, stderr, errorCode } = await runCommand(options.go.program, args, {
    cwd: options.moduleDirectory,
    env: goEnvironment({ ...options, isCgo: recipe.cgoPackages !== undefined }),
    signal,
  });
  if (exitCode !== 0) throw explainGoFailure(recipe.name, stderr || `${errorCode ?? ''}`);
  for (const executable of recipe.executables) {
    const file = path.join(outputDirectory, executable.name);
    const built = path.join(outputDirectory, defaultName(executable.package));
    if (built !== file) await rename(built, file);
    await chmod(file, 0o755);
  }
  if (options.arch === hostArchitecture()) await requireVersions(options);
}

/** The file name that `go build -o <directory>/` gives a main package: its last element that is no major version. */
export function defaultName(packagePath: string): string {
  const elements = packagePath.split('/');
  const last = elements.at(-1) ?? '';
  return /^v\d+$/.test(last) ? (elements.at(-2) ?? last) : last;
}

export interface GoEnvironmentOptions extends Pick<GoBuildOptions, 'arch' | 'go' | 'sysroot'> {
  /** Whether C code is linked in. */
  readonly isCgo: boolean;
}

/**
 * What a person has set for proxies and caches is kept; what would change the result is fixed.
 * @see https://pkg.go.dev/cmd/go#hdr-Environment_variables
 */
export function goEnvironment(options: GoEnvironmentOptions): Record<string, string> {
  const { isCgo, arch, go, sysroot } = options;
  const { GOEXPERIMENT: _experiment, GOFIPS140: _fips, ...inherited } = process.env;
  const libraries = sysroot && path.join(sysroot.directory, 'usr', 'lib', sysroot.triplet);
  return {
    ...definedEnvironment(inherited),
    GOTOOLCHAIN: go.toolchain,
    GOFLAGS: '-mod=readonly -buildvcs=false',
    GOWORK: 'off',
    GOOS: 'linux',
    GOARCH: arch,
    GOAMD64: 'v1',
    GOARM64: 'v8.0',
    CGO_ENABLED: isCgo ? '1' : '0',
    CGO_CFLAGS: sysroot === undefined ? '-O2' : `-O2 -I${sysroot.directory}/usr/include`,
    CGO_LDFLAGS: libraries === undefined ? '-O2' : `-O2 -L${libraries}`,
    CC: compilerFor(arch),
    ...(libraries === undefined
      ? {}
      : {
          PKG_CONFIG_LIBDIR: path.join(libraries, 'pkgconfig'),
          PKG_CONFIG_SYSROOT_DIR: options.sysroot?.directory ?? '',
        }),
  };
}

async function requireVersions(options: GoBuildOptions): Promise<void> {
  for (const { name, versionArgs } of options.recipe.executables) {
    const file = path.join(options.outputDirectory, name);
    const { exitCode, stdout, stderr } = await runCommand(file, versionArgs, {
      signal: options.signal,
    });
    const said = `${stdout}\n${stderr}`;
    if (exitCode === 0 && said.includes(options.version)) continue;
    throw new UserError({
      what: `use the ${name} that was built`,
      why: `"${name} ${versionArgs.join(' ')}" exits with ${exitCode ?? 'a signal'} and does not say ${options.version}: ${said.trim().slice(0, 200)}`,
    });
  }
}

/** The files of a wrapper module that decide what is built, by name. */
export async function readModuleFiles(
  moduleDirectory: string,
): Promise<Readonly<Record<'go.mod' | 'go.sum' | 'tools.go', string>>> {
  const read = (name: string) => readFile(path.join(moduleDirectory, name), 'utf8');
  const [goMod, goSum, tools] = await Promise.all([
    read('go.mod'),
    read('go.sum'),
    read('tools.go'),
  ]);
  return { 'go.mod': goMod, 'go.sum': goSum, 'tools.go': tools };
}
