import { kubeletFields, kubeletFieldsVersion } from './kubelet-fields.ts';
import { nearest } from './nearest.ts';
import { neededEntries, protectedFlags } from './protected-flags.ts';
import { protectedKubeletFields } from './protected-kubelet.ts';
import type { Problem } from './rules.ts';
import type { ClusterSpec, ExtraArgs, ExtraArgsComponent } from './types.ts';

/** What of the components' own settings cannot be left to the user. */
export function componentProblems(spec: ClusterSpec): Problem[] {
  return [
    ...Object.entries(spec.extraArgs).flatMap(([component, flags]) =>
      flagProblems(component as ExtraArgsComponent, flags),
    ),
    ...kubeletProblems(spec.kubelet),
    ...registryProblems(spec.registries),
  ];
}

function flagProblems(component: ExtraArgsComponent, flags: ExtraArgs): Problem[] {
  return Object.entries(flags).flatMap(([flag, value]) => {
    const path = `spec.extraArgs.${component}.${flag}`;
    const reason = protectedFlags[component][flag];
    if (reason !== undefined) return [{ path, message: `is not to be changed: ${reason}` }];
    const needed = neededEntries[`${component}.${flag}`];
    const given = Array.isArray(value) ? value.map(String) : String(value).split(',');
    const missing = (needed?.entries ?? []).filter((entry) => !given.includes(entry));
    return missing.length === 0
      ? []
      : [{ path, message: `must have ${missing.join(' and ')} in it: ${needed?.why}` }];
  });
}

function kubeletProblems(fields: ClusterSpec['kubelet']): Problem[] {
  return Object.keys(fields).flatMap((name) => {
    const path = `spec.kubelet.${name}`;
    const reason = protectedKubeletFields[name];
    if (reason !== undefined) return [{ path, message: `is not to be changed: ${reason}` }];
    if (kubeletFields.includes(name)) return [];
    const guess = nearest(name, kubeletFields);
    const hint = guess === undefined ? '' : `; did you mean "${guess}"?`;
    const message = `is no field of KubeletConfiguration in Kubernetes ${kubeletFieldsVersion}${hint}`;
    return [{ path, message }];
  });
}

/** No registry is behind the name of all others. */
function registryProblems(registries: ClusterSpec['registries']): Problem[] {
  const all = registries['*'];
  if (all === undefined) return [];
  return (['url', 'ca', 'credentialsFile'] as const)
    .filter((field) => all[field] !== '')
    .map((field) => ({
      path: `spec.registries.*.${field}`,
      message: 'is that of one registry: give its name instead of "*", or set it on a mirror',
    }));
}
