import { readFile, stat } from 'node:fs/promises';
import { errorCode, errorMessage, UserError } from '../base/errors.ts';
import { originOf } from '../config/layers.ts';
import type { InspectedConfig } from '../config/parse.ts';
import type { ClusterConfig, RegistryAccess } from '../config/types.ts';

/** A file with `user:password`, and the field that names it. */
interface CredentialsFile {
  readonly field: string;
  readonly file: string;
}

/** What is wrong with the files that the configuration takes credentials from. */
export async function credentialProblems(
  inspected: Pick<InspectedConfig, 'config' | 'origins'>,
): Promise<UserError[]> {
  const problems = await Promise.all(
    registryCredentials(inspected.config).map(async ({ field, file }) => {
      const problem = await problemOf(file);
      if (problem === undefined) return [];
      const place = originOf(inspected.origins, field) ?? field;
      const { why, fix } = problem;
      return [new UserError({ what: `use configuration ${place}`, why: `${field}: ${why}`, fix })];
    }),
  );
  return problems.flat();
}

/**
 * The value of `Authorization` that a file gives. The text of the file is in no error.
 * @throws UserError when it cannot be read.
 */
export async function readAuthorization(file: string): Promise<string> {
  const problem = await problemOf(file);
  if (problem !== undefined) throw new UserError({ what: 'read credentials', ...problem });
  const credentials = (await readFile(file, 'utf8')).trim();
  return `Basic ${Buffer.from(credentials).toString('base64')}`;
}

function registryCredentials({ spec }: ClusterConfig): CredentialsFile[] {
  return Object.entries(spec.registries).flatMap(([name, registry]) => {
    const field = `spec.registries.${name}`;
    const accesses: (RegistryAccess & { readonly field: string })[] = [
      { ...registry, field },
      ...registry.mirrors.map((mirror, index) => ({
        ...mirror,
        field: `${field}.mirrors.${index}`,
      })),
    ];
    return accesses.flatMap((access) =>
      access.credentialsFile === ''
        ? []
        : [{ field: `${access.field}.credentialsFile`, file: access.credentialsFile }],
    );
  });
}

async function problemOf(
  file: string,
): Promise<{ readonly why: string; readonly fix: string } | undefined> {
  const fix = `write user:password into ${file}, and chmod 600 it`;
  try {
    const { mode } = await stat(file);
    if ((mode & 0o077) !== 0) {
      return { why: `${file} can be read by others`, fix: `chmod 600 ${file}` };
    }
    const text = (await readFile(file, 'utf8')).trim();
    return /^[^:\s][^:]*:.+$/.test(text)
      ? undefined
      : { why: `${file} does not hold user:password`, fix };
  } catch (error) {
    const why = errorCode(error) === 'ENOENT' ? `there is no file ${file}` : errorMessage(error);
    return { why, fix };
  }
}
