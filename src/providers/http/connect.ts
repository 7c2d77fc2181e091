import { once } from 'node:events';
import { connect as connectTcp, isIP, type Socket, type TcpNetConnectOpts } from 'node:net';
import { connect as connectTls, type ConnectionOptions } from 'node:tls';
import { ChatError } from '../../errors/chat-error.js';
import { requestHead } from './request-head.js';
import { ResponseParser } from './response-parser.js';

/** All connections read into it, for what they read is used at once. For every read Node makes 64 kB. */
const READ_BUFFER = Buffer.allocUnsafeSlow(65_536);

export interface ConnectOptions {
  /** What it goes through. */
  proxy?: URL;
  /** Gives up connecting. */
  signal: AbortSignal;
  /** Gets what comes, in a buffer of which nothing lasts. */
  onBytes: (bytes: Buffer) => void;
}

/**
 * Connects to a server. Through a proxy that is a tunnel where there is TLS, and else the proxy itself,
 * which is asked for what is the server's.
 * @throws {ChatError} `provider_unavailable` when the proxy refuses
 * @throws what the system says, or the signal's reason
 */
export async function connect(
  target: URL,
  { proxy, signal, onBytes }: ConnectOptions,
): Promise<Socket> {
  try {
    if (proxy && isSecure(target)) {
      const tunnel = await open(proxy, { signal });
      await askForTunnel(tunnel, target, proxy);
      const socket = await openTls({ ...tlsOptions(target), socket: tunnel, signal });
      return socket.on('data', onBytes);
    }
    const callback = (length: number, buffer: Uint8Array) => {
      onBytes(buffer.subarray(0, length) as Buffer);
      return true;
    };
    return await open(proxy ?? target, { signal, onread: { buffer: READ_BUFFER, callback } });
  } catch (error) {
    throw signal.aborted ? signal.reason : error;
  }
}

export function isSecure({ protocol }: URL): boolean {
  return protocol === 'https:';
}

async function open(
  to: URL,
  options: Pick<TcpNetConnectOpts, 'signal' | 'onread'>,
): Promise<Socket> {
  const all = {
    host: hostOf(to),
    port: Number(to.port) || (isSecure(to) ? 443 : 80),
    noDelay: true,
    keepAlive: true,
    ...options,
  };
  if (isSecure(to)) return openTls({ ...all, ...tlsOptions(to) });
  const socket = connectTcp(all);
  await once(socket, 'connect');
  return socket;
}

async function openTls(
  options: ConnectionOptions & Pick<TcpNetConnectOpts, 'signal'>,
): Promise<Socket> {
  const socket = connectTls(options);
  await once(socket, 'secureConnect');
  return socket;
}

function tlsOptions(to: URL): ConnectionOptions {
  const host = hostOf(to);
  return { host, servername: isIP(host) ? '' : host, ALPNProtocols: ['http/1.1'] };
}

/** Without the brackets of an IPv6 address. */
function hostOf({ hostname }: URL): string {
  return hostname.replace(/^\[|\]$/g, '');
}

/** RFC 9110 §9.3.6. */
async function askForTunnel(socket: Socket, target: URL, proxy: URL) {
  const authority = `${target.hostname}:${target.port || 443}`;
  socket.write(requestHead('CONNECT', authority, { host: authority, ...authorizationFor(proxy) }));
  const status = await new Promise<number>((resolve, reject) => {
    const parser = new ResponseParser({
      onHead: (head) => resolve(head.status),
      onBody: () => undefined,
      onEnd: () => undefined,
    });
    const read = (bytes: Buffer) => {
      try {
        parser.push(bytes);
      } catch (error) {
        socket.destroy(error as Error);
      }
    };
    socket.on('data', read);
    socket.once('error', reject);
    socket.once('close', () => reject(new Error('The proxy closed the connection.')));
  }).finally(() => socket.removeAllListeners('data').pause());
  if (status >= 200 && status < 300) return;
  socket.destroy();
  const message = `The proxy did not connect to the provider: it answered with status ${status}.`;
  throw new ChatError('provider_unavailable', message);
}

/** What a proxy is told of who asks it (RFC 9110 §11.7.2). */
export function authorizationFor({ username, password }: URL): Record<string, string> {
  if (username === '' && password === '') return {};
  const credentials = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  return { 'proxy-authorization': `Basic ${Buffer.from(credentials).toString('base64')}` };
}
