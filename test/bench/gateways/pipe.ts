/** The least that a gateway can be: `node:http` and a pipe. */
import { createServer } from 'node:http';
import { ask, listening } from './relay.js';

createServer((request, response) => {
  const parts: Buffer[] = [];
  request.on('data', (part: Buffer) => parts.push(part));
  request.on('end', () => {
    const outgoing = ask(Buffer.concat(parts), (incoming) => {
      response.writeHead(incoming.statusCode!, incoming.headers);
      incoming.pipe(response);
    });
    response.on('close', () => outgoing.destroy());
  });
}).listen(listening);
