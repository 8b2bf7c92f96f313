import { readFile } from 'node:fs/promises';
import { type ClientRequest, type IncomingMessage, request as requestHttp } from 'node:http';
import { errorMessage } from '../base/errors.ts';
import type { ProbeResult, ReadinessProbe } from './types.ts';

type HttpProbe = Extract<ReadinessProbe, { type: 'http' | 'https' }>;

/** How much of an answer is quoted: its end, since a long one tends to list what failed last. */
const quotedCharacters = 500;
const readCharacters = 16 * 1024;

/**
 * GETs the URL over a connection of its own. Ready is a status from 200 to 399.
 * Certificate files are read now, so a probe also waits for files that are not there yet.
 */
export async function probeHttp(probe: HttpProbe, limit: AbortSignal): Promise<ProbeResult> {
  try {
    const answer = await get(await openRequest(probe, limit));
    if (answer.status >= 200 && answer.status < 400) return { isReady: true };
    const quoted = lastCharacters(answer.body.trim().replace(/\s*\n\s*/g, '; '));
    return {
      isReady: false,
      message: `GET ${probe.url} answered ${answer.status}${quoted === '' ? '' : `: ${quoted}`}`,
    };
  } catch (error) {
    return { isReady: false, message: `GET ${probe.url} failed: ${errorMessage(error)}` };
  }
}

async function openRequest(probe: HttpProbe, signal: AbortSignal): Promise<ClientRequest> {
  if (probe.type === 'http') return requestHttp(probe.url, { agent: false, signal });
  const { request } = await import('node:https');
  const [ca, cert, key] = await Promise.all([
    readOptional(probe.caFile),
    readOptional(probe.certFile),
    readOptional(probe.keyFile),
  ]);
  return request(probe.url, {
    agent: false,
    signal,
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
    ...(probe.serverName === undefined ? {} : { servername: probe.serverName }),
  });
}

async function readOptional(file: string | undefined): Promise<Buffer | undefined> {
  return file === undefined ? undefined : readFile(file);
}

interface Answer {
  readonly status: number;
  readonly body: string;
}

function get(request: ClientRequest): Promise<Answer> {
  return new Promise((resolve, reject) => {
    // Not once: an abort after the answer reports again.
    request.on('error', reject);
    request.once('response', (response) => {
      response.on('error', reject);
      readBody(response, (body) => {
        resolve({ status: response.statusCode ?? 0, body });
        request.destroy();
      });
    });
    request.end();
  });
}

function readBody(response: IncomingMessage, onEnd: (body: string) => void): void {
  let body = '';
  response.setEncoding('utf8');
  response.on('data', (chunk: string) => {
    body += chunk;
    if (body.length > readCharacters) onEnd(body);
  });
  response.once('end', () => onEnd(body));
}

/** The end of the text, where a health check says what failed. */
function lastCharacters(text: string): string {
  return text.length > quotedCharacters ? `…${text.slice(-quotedCharacters)}` : text;
}
