import { once } from 'node:events';
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { Agent, request as sendRequest } from 'node:https';
import { onTestFinished } from 'vitest';
import { token } from './registry-fixture.ts';

export interface RequestOptions {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** A client certificate. */
  readonly identity?: { readonly cert: string; readonly key: string };
}

export interface Answered {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  readonly text: string;
}

/** One request on a connection of its own. */
export async function get(
  port: number,
  target: string,
  options: RequestOptions = {},
): Promise<Answered> {
  const response = await open(port, target, options);
  const body = await drain(response);
  return {
    status: response.statusCode ?? 0,
    headers: response.headers,
    body,
    text: body.toString('utf8'),
  };
}

/** The answer's head; its body is not read yet. */
export async function open(
  port: number,
  target: string,
  options: RequestOptions = {},
): Promise<IncomingMessage> {
  const { method = 'GET', identity = {}, headers = {} } = options;
  const agent = new Agent();
  onTestFinished(() => agent.destroy());
  const request = sendRequest({
    ...{ agent, port, method, path: target, ...identity },
    host: '127.0.0.1',
    // The authority of each test is another one.
    rejectUnauthorized: false,
    headers: { authorization: `Bearer ${token}`, ...headers },
  });
  request.end();
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  response.on('error', () => {});
  return response;
}

export async function drain(response: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

export function errorCodes({ text }: Answered): readonly string[] {
  return (JSON.parse(text) as { errors: { code: string }[] }).errors.map(({ code }) => code);
}
