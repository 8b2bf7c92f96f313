import { UserError } from '../../src/base/errors.ts';
import { lastLines } from './run-command.ts';

interface FailurePattern {
  readonly pattern: RegExp;
  /** `groups` are the pattern's named groups. */
  readonly explain: (groups: Readonly<Record<string, string>>) => {
    readonly why: string;
    readonly fix: string;
  };
}

/** Tried in this order; each stands for one thing a person can mend. */
const patterns: readonly FailurePattern[] = [
  {
    pattern: /no space left on device/,
    explain: () => ({
      why: 'the disk is full',
      fix: "free about 10 GB; Go's build and module caches are the largest part (go env GOCACHE GOMODCACHE)",
    }),
  },
  {
    pattern: /toolchain not available|download (?<toolchain>go\d[\w.]+) for \S+:/,
    explain: ({ toolchain }) => ({
      why: `the Go tool chain ${toolchain ?? ''} cannot be downloaded`.replace('  ', ' '),
      fix: 'make the module proxy in GOPROXY reachable, or install that version of Go',
    }),
  },
  {
    pattern:
      /missing go\.sum entry for (?:module providing package|go\.mod file)[;:]? ?(?<package>[^\s;]*)|updates to go\.(?:mod|sum) needed/,
    explain: ({ package: name }) => ({
      why: `go.mod and go.sum are out of step${name === undefined || name === '' ? '' : ` at ${name}`}`,
      fix: 'run go mod tidy in the directory of that go.mod and commit both files',
    }),
  },
  {
    pattern:
      /(?<module>[\w.-]+\.[a-z]+\/[\w./~-]+)@(?<version>v[\w.+-]+): (?:verifying (?:module|go\.mod)|checksum mismatch)/,
    explain: ({ module, version }) => ({
      why: `module ${module}@${version} is not what go.sum says (checksum mismatch)`,
      fix: 'somebody changed what the module proxy serves: do not build with it; set GOPROXY to another one',
    }),
  },
  {
    pattern: /(?<module>[\w.-]+\.[a-z]+\/[\w./~-]+)@(?<version>v[\w.+-]+): (?<reason>.+)/,
    explain: ({ module, version, reason }) => ({
      why: `module ${module}@${version} was refused: ${reason}`,
      fix: 'make the module proxy in GOPROXY reachable, or pin a version that it has',
    }),
  },
  {
    pattern: /module lookup disabled by GOPROXY=off/,
    explain: () => ({
      why: 'a module is not in the module cache, and GOPROXY=off forbids to fetch it',
      fix: 'set GOPROXY to a module proxy that this machine reaches',
    }),
  },
  {
    pattern: /exec: "(?<tool>[^"]+)": executable file not found/,
    explain: ({ tool }) => ({ why: `${tool} is missing`, fix: `install ${tool}` }),
  },
  {
    pattern:
      /Package '?(?<library>[\w.-]+)'?,? .*not found|fatal error: (?<header>[\w./-]+): No such file/,
    explain: ({ library, header }) => ({
      why: `the C library ${library ?? header} is missing for the target architecture`,
      fix: 'install its -dev package',
    }),
  },
];

/** One line that names the module or tool that made `go build` fail; its last lines when nothing is known about it. */
export function explainGoFailure(component: string, output: string): UserError {
  const what = `build ${component}`;
  for (const { pattern, explain } of patterns) {
    const match = pattern.exec(output);
    if (match !== null) return new UserError({ what, ...explain(match.groups ?? {}) });
  }
  return new UserError({ what, why: `go build failed:\n${lastLines(output, 15)}` });
}
