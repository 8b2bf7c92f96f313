import { createReadStream, readFileSync, statSync } from 'node:fs';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { pipeline } from 'node:stream';

/** Serves a directory by HTTPS until its standard input ends; prints its port. A process of its own, as upstream is. */
const [directory = '', certFile = '', keyFile = ''] = process.argv.slice(2);
const tls = { cert: readFileSync(certFile), key: readFileSync(keyFile) };
const server = createServer(tls, (request, response) => {
  const file = path.join(directory, new URL(request.url ?? '', 'https://x').pathname);
  const size = statSync(file, { throwIfNoEntry: false })?.size;
  if (size === undefined) {
    response.writeHead(404).end();
    return;
  }
  response.writeHead(200, { 'content-length': size, etag: `"${size}"` });
  if (request.method === 'HEAD') response.end();
  else pipeline(createReadStream(file, { highWaterMark: 2 ** 20 }), response, () => {});
});
server.listen(0, '127.0.0.1', () => {
  process.stdout.write(`${(server.address() as AddressInfo).port}\n`);
});
process.stdin.resume().on('end', () => process.exit(0));
