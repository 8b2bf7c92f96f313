import { createHash } from 'node:crypto';
import { UserError } from '../base/errors.ts';
import { parseHostPort, renderHostPort } from '../base/host-port.ts';
import type { JoinRole, JoinToken } from './types.ts';

/** Where a controller's gateway listens unless configured otherwise; tokens leave it out. */
export const defaultGatewayPort = 9443;

const version = 'mk1';
const roleLetters: Readonly<Record<string, JoinRole>> = { w: 'worker', c: 'controller' };
const maxServers = 16;
const checkLength = 6;
const checkAlphabet = 'abcdefghijklmnopqrstuvwxyz234567';

/** The names of a token's parts in their order, for messages. */
const partNames = ['version', 'role', 'id', 'secret', 'pin', 'check'] as const;

/**
 * Reads `mk1.<role>.<id>.<secret>.<pin>.<check>@<server>,<server>`, with or without white space around it.
 * @throws UserError that tells what is wrong with it and never quotes any of its secret.
 */
export function parseJoinToken(text: string): JoinToken {
  const [head = '', ...tails] = text.trim().split('@');
  const parts = head.split('.');
  refuseForeign(text.trim(), parts);
  const [, letter = '', id = '', secret = '', caPin = '', check = ''] = parts;
  const [tail] = tails;
  if (parts.length < partNames.length || tail === undefined || tail === '') {
    throw refusal(`it is cut off after its ${lastPart(parts, tail)}`, copyAgain);
  }
  const purpose = roleLetters[letter];
  if (purpose === undefined) throw refusal(describeLetter(letter), makeAnother);
  const isWellFormed =
    parts.length === partNames.length &&
    tails.length === 1 &&
    isTokenId(id) &&
    isTokenSecret(secret) &&
    /^[\w-]{43}$/.test(caPin);
  if (!isWellFormed || check !== checkOf(parts.slice(0, -1).join('.'), tail)) {
    throw refusal('it was mistyped or cut off: its check characters do not match', copyAgain);
  }
  return { role: purpose, id, secret, caPin, servers: parseServers(tail.split(',')) };
}

/** The token as one string without white space. @throws UserError for a server that is no `host:port`. */
export function renderJoinToken(token: JoinToken): string {
  const servers = parseServers(token.servers)
    .map((server) => server.replace(new RegExp(`:${defaultGatewayPort}$`), ''))
    .join(',');
  const letter = Object.keys(roleLetters).find((key) => roleLetters[key] === token.role) ?? '';
  const head = [version, letter, token.id, token.secret, token.caPin].join('.');
  return `${head}.${checkOf(head, servers)}@${servers}`;
}

/** Replaces the secret of every join token and every bare `id.secret` in a text. */
export function redactTokens(text: string): string {
  return text
    .replaceAll(/\b(mk\d+\.[a-z]\.[a-z0-9]{1,6})\.[\w.-]+/gi, '$1.<secret>')
    .replaceAll(/\b([a-z0-9]{6})\.[a-z0-9]{16}\b/g, '$1.<secret>');
}

export function isTokenId(text: string): boolean {
  return /^[a-z0-9]{6}$/.test(text);
}

export function isTokenSecret(text: string): boolean {
  return /^[a-z0-9]{16}$/.test(text);
}

/** `host:port` of each, the port filled in. @throws UserError naming the first that is none. */
export function parseServers(servers: readonly string[]): string[] {
  if (servers.length === 0 || servers.length > maxServers) {
    throw refusal(`it names ${servers.length} servers, 1 to ${maxServers} are possible`);
  }
  return servers.map((server) => {
    const parsed = parseHostPort(server, defaultGatewayPort);
    if (parsed === undefined || !/^[a-z0-9]([a-z0-9.:-]*[a-z0-9])?$/i.test(parsed.host)) {
      throw refusal(
        `the server address ${JSON.stringify(server)} is not <host> or <host>:<port>`,
        'mini-k8s token create --server 192.0.2.10:9443 makes a token with another one',
      );
    }
    return renderHostPort(parsed);
  });
}

const copyAgain = 'copy it again as a whole, or make another with: mini-k8s token create';
const makeAnother = 'make another on a controller with: mini-k8s token create';

/** What is no token of this program's, or of another version of it. */
function refuseForeign(text: string, parts: readonly string[]): void {
  if (text === '') throw refusal('it is empty', makeAnother);
  if (/\s/.test(text)) throw refusal('there is white space within it', copyAgain);
  const [found = ''] = parts;
  if (found === version) return;
  if (/^mk\d{1,3}$/.test(found)) {
    throw refusal(
      `it is of version ${found}, and this mini-k8s reads ${version}`,
      'use the same version of mini-k8s on this machine and on the controllers',
    );
  }
  throw refusal(`it does not begin with "${version}.", so it is no token of mini-k8s`, makeAnother);
}

function lastPart(parts: readonly string[], tail: string | undefined): string {
  const lastIndex = Math.min(parts.length, partNames.length) - 1;
  return tail === '' ? '"@"' : (partNames[lastIndex] ?? 'beginning');
}

/** One letter tells nobody anything; more may be a secret in the wrong place. */
function describeLetter(letter: string): string {
  const shown = letter.length === 1 ? ` "${letter}"` : '';
  return `its role${shown} is neither w (worker) nor c (controller)`;
}

/** Tells a token that was cut or mistyped from one that is wrong: 30 bits of the SHA-256 of all the rest. */
function checkOf(head: string, servers: string): string {
  const digest = createHash('sha256').update(`${head}@${servers}`).digest();
  return [...digest.subarray(0, checkLength)]
    .map((byte) => checkAlphabet[byte % checkAlphabet.length])
    .join('');
}

function refusal(why: string, fix?: string): UserError {
  return new UserError({ what: 'use the join token', why, ...(fix === undefined ? {} : { fix }) });
}
