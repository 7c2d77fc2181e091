import { once } from 'node:events';
import { connect as connectTcp, isIP, type Socket, type TcpNetConnectOpts } from 'node:net';
import { connect as connectTls, type ConnectionOptions } from 'node:tls';
import { ChatError } from '../../errors/chat-error.js';
import { lookup } from './lookup.js';
import { basicCredentials, requestHead } from './request-head.js';
import { MalformedResponse, ResponseParser } from './response-parser.js';

/** All connections read into it, for what they read is used at once. For every read Node makes 64 kB. */
const READ_BUFFER = Buffer.allocUnsafeSlow(65_536);

/** What is silent for so long is asked whether it is there, by the system. */
const KEEP_ALIVE_MS = 1_000;

/**
 * One address of a name gets so long, in milliseconds, before the next is tried: a packet that is lost is
 * sent again after a second. Node gives all but the last a quarter of that, and the last may be one of
 * IPv6 that is not reachable from here.
 */
const ATTEMPT_MS = 1_500;

export interface ConnectOptions {
  /** What it goes through. */
  proxy?: URL;
  /** Of an earlier connection, for TLS to go on with. */
  session?: Buffer;
  /** Gets what later connections can go on with. */
  onSession: (session: Buffer) => void;
  /** Gives up connecting. */
  signal: AbortSignal;
  /** Gets what comes, in a buffer of which nothing lasts. */
  onBytes: (bytes: Buffer) => void;
}

type OpenOptions = Pick<TcpNetConnectOpts, 'signal' | 'onread'> & ConnectionOptions;

/**
 * Connects to a server. Through a proxy that is a tunnel where there is TLS, and else the proxy itself,
 * which is asked for what is the server's.
 * @throws {ChatError} `provider_unavailable` when the proxy refuses
 * @throws what the system says, or the signal's reason
 */
export async function connect(target: URL, options: ConnectOptions): Promise<Socket> {
  const { proxy, session, onSession, signal, onBytes } = options;
  try {
    if (proxy && isSecure(target)) {
      const tunnel = await openTunnel(target, proxy, signal);
      const socket = await open(target, { signal, session, socket: tunnel }, onSession);
      return socket.on('data', onBytes);
    }
    const callback = (length: number, buffer: Uint8Array) => {
      onBytes(buffer.subarray(0, length) as Buffer);
      return true;
    };
    const reading = { signal, session, onread: { buffer: READ_BUFFER, callback } };
    return await open(proxy ?? target, reading, onSession);
  } catch (error) {
    throw signal.aborted ? signal.reason : error;
  }
}

export function isSecure({ protocol }: URL): boolean {
  return protocol === 'https:';
}

async function open(
  to: URL,
  options: OpenOptions,
  onSession?: (session: Buffer) => void,
): Promise<Socket> {
  // Node would connect all the same.
  options.signal?.throwIfAborted();
  // Without the brackets of an IPv6 address.
  const host = to.hostname.replace(/^\[|\]$/g, '');
  const isTls = isSecure(to);
  const address = {
    host,
    port: Number(to.port) || (isTls ? 443 : 80),
    lookup,
    autoSelectFamily: true,
    autoSelectFamilyAttemptTimeout: ATTEMPT_MS,
  };
  const socket = isTls
    ? connectTls({ ...address, ...tlsOptions(host), ...options })
    : connectTcp({ ...address, ...options });
  if (onSession) socket.on('session', onSession);
  // TLS can fail later too, and leaves the socket open then.
  socket.on('error', () => socket.destroy());
  await once(socket, isTls ? 'secureConnect' : 'connect');
  return socket.setNoDelay(true).setKeepAlive(true, KEEP_ALIVE_MS);
}

function tlsOptions(host: string): ConnectionOptions {
  return { servername: isIP(host) ? '' : host, ALPNProtocols: ['http/1.1'] };
}

/** RFC 9110 §9.3.6. */
async function openTunnel(target: URL, proxy: URL, signal: AbortSignal): Promise<Socket> {
  const authority = `${target.hostname}:${target.port || 443}`;
  const credentials = basicCredentials(proxy);
  const headers = { host: authority, ...(credentials && { 'proxy-authorization': credentials }) };
  const head = requestHead('CONNECT', authority, headers);
  const tunnel = await open(proxy, { signal });
  tunnel.write(head);
  const status = await statusOf(tunnel).catch((error: unknown) => {
    tunnel.destroy();
    throw error instanceof MalformedResponse ? refused('something else than HTTP/1.1') : error;
  });
  if (status >= 200 && status < 300) return tunnel;
  tunnel.destroy();
  throw refused(`status ${status}`);
}

/** @param answer of the proxy */
function refused(answer: string): ChatError {
  const message = `The proxy did not connect to the provider: it answered with ${answer}.`;
  return new ChatError('provider_unavailable', message);
}

/** The status of the response to come. What comes after its head is not for us. */
async function statusOf(socket: Socket): Promise<number> {
  let status = 0;
  const parser = new ResponseParser({
    onHead: (head) => (status = head.status),
    onBody: () => undefined,
  });
  for await (const bytes of socket.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    parser.push(bytes);
    if (status !== 0) return status;
  }
  throw Object.assign(new Error('The proxy closed the connection.'), { code: 'ECONNRESET' });
}
