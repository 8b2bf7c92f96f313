import { request } from 'node:http';
import { errorCode, throwCollected, UserError, type UserErrorOptions } from '../base/errors.ts';
import type { ReloadReport } from './reload.ts';

/** Longer than a component may take to start again, and to go back; milliseconds. */
const timeoutMs = 300_000;

/**
 * Asks the running node to read its configuration again, and waits until it has.
 * @throws UserError or UserErrors: why it goes on with what it had, or that none runs.
 */
export async function requestReload(socketPath: string): Promise<ReloadReport> {
  const { statusCode, body } = await post(socketPath);
  if (statusCode === 200) return JSON.parse(body) as ReloadReport;
  if (statusCode !== 422) throw refusal(`it answered ${statusCode}: ${body}`);
  const { errors } = JSON.parse(body) as { readonly errors: readonly UserErrorOptions[] };
  throwCollected(errors.map((error) => new UserError(error)));
  throw refusal(body);
}

function post(socketPath: string): Promise<{ statusCode: number | undefined; body: string }> {
  return new Promise((resolve, reject) => {
    const options = { socketPath, path: '/reload', method: 'POST', timeout: timeoutMs };
    const outgoing = request(options, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () =>
        resolve({
          statusCode: response.statusCode,
          body: Buffer.concat(chunks).toString('utf8'),
        }),
      );
    });
    outgoing.on('timeout', () => outgoing.destroy(refusal('no answer within five minutes')));
    outgoing.on('error', (error) => reject(explain(error, socketPath)));
    outgoing.end();
  });
}

function explain(error: Error, socketPath: string): Error {
  const code = errorCode(error);
  if (code === 'ENOENT' || code === 'ECONNREFUSED') {
    return refusal('mini-k8s does not run on this machine, or is just starting');
  }
  if (code === 'EACCES') return refusal(`${socketPath} is for root only`, 'run it with sudo');
  return code === undefined ? error : refusal(error.message);
}

function refusal(why: string, fix = 'mini-k8s status, and mini-k8s logs'): UserError {
  return new UserError({ what: 'reload the configuration', why, fix });
}
