import { componentVersion } from '../../src/artifacts/catalog.ts';
import { type GoRecipe, goRecipe } from '../components/go-recipes.ts';

/** How one program of the suite is built from a wrapper module (scripts/conformance-suite/<module>). */
export interface SuiteProgram extends Pick<GoRecipe, 'tags' | 'variables'> {
  readonly name: SuiteProgramName;
  readonly module: SuiteModule;
  readonly package: string;
  /** `test` makes the package's tests a program. */
  readonly verb: 'build' | 'test';
  /** Without a leading v; the module whose version it is, is the wrapper module's. */
  readonly version: string;
  /** How it tells its version, which is run once after a build; none where it cannot. */
  readonly versionArgs?: readonly string[];
}

export type SuiteProgramName = 'e2e.test' | 'ginkgo' | 'agnhost' | 'nnp' | 'sample-apiserver';

/** Wrapper modules, by folder. */
export type SuiteModule = keyof typeof suiteModules;

/** The module whose version the wrapper pins, and the recipe of components that it must agree with. */
export const suiteModules = {
  e2e: {
    module: 'k8s.io/kubernetes',
    version: componentVersion('kubernetes'),
    stagingVersion: '0.{minor}.{patch}',
  },
  'sample-apiserver': { module: 'k8s.io/sample-apiserver', version: '0.29.2' },
} as const;

const kubernetes = goRecipe('kubernetes');
const likeKubernetes = {
  version: suiteModules.e2e.version,
  ...(kubernetes.tags === undefined ? {} : { tags: kubernetes.tags }),
  ...(kubernetes.variables === undefined ? {} : { variables: kubernetes.variables }),
} as const;

/** What agnhost says of itself: the tag of its image, which has nothing to do with Kubernetes' version. */
export const agnhostVersion = '2.66.1';

/** In building order: what a run needs before any image comes first. */
export const suitePrograms: readonly SuiteProgram[] = [
  {
    name: 'e2e.test',
    module: 'e2e',
    package: 'k8s.io/kubernetes/test/e2e',
    verb: 'test',
    ...likeKubernetes,
    versionArgs: ['--version'],
  },
  {
    name: 'ginkgo',
    module: 'e2e',
    package: 'github.com/onsi/ginkgo/v2/ginkgo',
    verb: 'build',
    version: '2.32.0',
    versionArgs: ['version'],
  },
  {
    name: 'agnhost',
    module: 'e2e',
    package: 'k8s.io/kubernetes/test/images/agnhost',
    verb: 'build',
    ...likeKubernetes,
    version: agnhostVersion,
    variables: { 'main.Version': '{version}' },
    versionArgs: ['--version'],
  },
  {
    name: 'nnp',
    module: 'e2e',
    package: 'k8s.io/kubernetes/test/images/nonewprivs',
    verb: 'build',
    version: suiteModules.e2e.version,
  },
  {
    name: 'sample-apiserver',
    module: 'sample-apiserver',
    package: 'k8s.io/sample-apiserver',
    verb: 'build',
    version: suiteModules['sample-apiserver'].version,
  },
];
