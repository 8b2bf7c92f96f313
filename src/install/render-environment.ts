/** What a service needs of the environment that it was installed from. */
const proxyVariables = ['HTTPS_PROXY', 'HTTP_PROXY', 'NO_PROXY'];

/** The proxy settings among the variables of a shell; the upper-case name wins over the lower-case one. */
export function proxyEnvironment(
  env: Readonly<Record<string, string | undefined>>,
): Record<string, string> {
  return Object.fromEntries(
    proxyVariables.flatMap((name) => {
      const value = env[name] ?? env[name.toLowerCase()];
      return value === undefined || value === '' ? [] : [[name, value]];
    }),
  );
}

/** A file that both systemd and a shell can read. Text without line breaks only. */
export function renderEnvironment(environment: Readonly<Record<string, string>>): string {
  return Object.entries(environment)
    .map(([name, value]) => `${name}='${value.replaceAll(/['\n]/g, '')}'\n`)
    .join('');
}

/** What such a file says. Pure. */
export function parseEnvironment(text: string): Record<string, string> {
  return Object.fromEntries(
    text.split('\n').flatMap((line) => {
      const [, name, value] = /^(\w+)='(.*)'$/.exec(line) ?? [];
      return name === undefined || value === undefined ? [] : [[name, value]];
    }),
  );
}
