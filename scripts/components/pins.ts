import {
  componentVersion,
  type ImageName,
  imageReference,
  isComponentName,
} from '../../src/artifacts/catalog.ts';
import { UserError } from '../../src/base/errors.ts';
import type { GoComponentName } from './go-recipes.ts';

/** What a go.mod says about versions; comments and everything else are left out. */
export interface GoModule {
  /** Version by module path, with the leading v. */
  readonly requires: ReadonlyMap<string, string>;
  /** `k8s.io/api` → `k8s.io/api v0.37.1`. */
  readonly replaces: ReadonlyMap<string, string>;
}

/** The pinned version of a wrapper module's component without a leading v, from assets/artifacts.json. */
export function pinnedVersion(name: GoComponentName): string {
  if (isComponentName(name)) return componentVersion(name);
  return imageTag(name).replace(/^v/, '');
}

function imageTag(name: ImageName): string {
  const reference = imageReference(name);
  return reference.slice(reference.lastIndexOf(':') + 1);
}

/** Reads the `require` and `replace` directives of a go.mod. @see https://go.dev/ref/mod#go-mod-file */
export function parseGoMod(text: string): GoModule {
  const requires = new Map<string, string>();
  const replaces = new Map<string, string>();
  let block = '';
  for (const raw of text.split('\n')) {
    const line = raw.replace(/\/\/.*$/, '').trim();
    if (line === ')') block = '';
    const opened = /^(\w+) \($/.exec(line)?.[1];
    if (opened !== undefined) block = opened;
    const [directive, rest] =
      block === '' ? splitFirst(line) : ([block, line] as readonly [string, string]);
    if (directive === 'require') {
      const [module, version] = splitFirst(rest);
      if (version.startsWith('v')) requires.set(module, version);
    }
    const arrow = rest.indexOf(' => ');
    if (directive === 'replace' && arrow > 0) {
      replaces.set(splitFirst(rest.slice(0, arrow))[0], rest.slice(arrow + ' => '.length).trim());
    }
  }
  return { requires, replaces };
}

function splitFirst(text: string): readonly [string, string] {
  const space = text.indexOf(' ');
  return space < 0 ? [text, ''] : [text.slice(0, space), text.slice(space + 1).trim()];
}

/** What a wrapper module is for. */
interface WrappedModule {
  readonly name: string;
  /** The module whose version in go.mod must be the pinned one. */
  readonly module: string;
  /** As in a recipe. */
  readonly stagingVersion?: string;
  /** Where its go.mod is; default: `scripts/components/<name>`. */
  readonly directory?: string;
}

/** Every place where a wrapper module and the catalog name different versions. */
export function findPinConflicts(
  recipe: WrappedModule,
  version: string,
  goMod: GoModule,
): readonly UserError[] {
  const directory = recipe.directory ?? `scripts/components/${recipe.name}`;
  const conflict = (module: string, found: string | undefined, wanted: string) =>
    new UserError({
      what: `build ${recipe.name}`,
      why: `assets/artifacts.json pins ${version}, but ${directory}/go.mod has ${module} ${found ?? 'not at all'} instead of ${wanted}`,
      fix: `make both name the same version (in ${directory}: go get ${module}@${wanted} && go mod tidy)`,
    });
  const found = goMod.requires.get(recipe.module);
  const wanted = `v${version}`;
  const conflicts = found === wanted ? [] : [conflict(recipe.module, found, wanted)];
  const staging = recipe.stagingVersion;
  if (staging === undefined) return conflicts;
  const stagingVersion = `v${fillVersion(staging, version)}`;
  for (const [module, target] of goMod.replaces) {
    const [, targetVersion] = splitFirst(target);
    if (!module.startsWith('k8s.io/') || targetVersion === stagingVersion) continue;
    conflicts.push(conflict(module, targetVersion, stagingVersion));
  }
  return conflicts;
}

/** Fills `{version}`, `{major}`, `{minor}` and `{patch}` in a recipe's text. */
export function fillVersion(template: string, version: string): string {
  const [major = '', minor = '', patch = ''] = version.split('.');
  const parts: Readonly<Record<string, string>> = { version, major, minor, patch };
  return template.replace(/\{(\w+)\}/g, (whole, name: string) => parts[name] ?? whole);
}
