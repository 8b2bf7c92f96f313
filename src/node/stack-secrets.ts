import { fillSecrets } from '../base/files.ts';
import type { KubeObject } from '../kube-client/types.ts';
import type { ManifestStack } from '../stacks/types.ts';

/**
 * The stacks as the deployer applies them: in objects of kind Secret, `${secret:NAME}` is replaced and `stringData`
 * becomes `data`, since the server keeps no `stringData` and would see a change at each apply. Plans hold the
 * references only.
 * @param resolve The base64 text of a secret's file; throws for an unknown name.
 */
export function fillStackSecrets(
  stacks: readonly ManifestStack[],
  resolve: (name: string) => string,
): ManifestStack[] {
  const fill = (object: KubeObject) =>
    object.kind === 'Secret' ? fillSecret(object, resolve) : object;
  return stacks.map((stack) => ({ ...stack, objects: stack.objects.map(fill) }));
}

/** A secret as a password that can stand in a URL: base64url, without padding. */
export function passwordOf(base64: string): string {
  return Buffer.from(base64, 'base64').toString('base64url');
}

function fillSecret(object: KubeObject, resolve: (name: string) => string): KubeObject {
  const { stringData, ...rest } = object as KubeObject & {
    readonly stringData?: Readonly<Record<string, string>>;
  };
  const data = Object.entries(stringData ?? {}).map(([key, text]) => {
    const filled = fillSecrets(text, (name) => passwordOf(resolve(name)));
    return [key, Buffer.from(filled).toString('base64')];
  });
  return { ...rest, data: Object.fromEntries(data) };
}
