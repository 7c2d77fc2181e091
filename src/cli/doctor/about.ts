import { Agent as HttpAgent, request as requestHttp, type IncomingMessage } from 'node:http';
import { Agent as HttpsAgent, request as requestHttps } from 'node:https';
import { isIP } from 'node:net';
import { text } from 'node:stream/consumers';
import { connect } from 'node:tls';
import type { Server } from '../server.js';
import { CannotTest, type Finding } from './finding.js';

const PATIENCE_MS = 10_000;

/** What the server says of itself, and of how the request came to it. */
export interface About {
  instance: string;
  heartbeat_ms: number;
  commit_after_ms: number;
  request: { http_version: string; via: string | null };
}

interface Visit {
  about: About;
  httpVersion: string;
  /** Whether the connection of the visit before was there to be used again. */
  reused: boolean;
}

/** Looks whether there is a Sluice server, and how requests travel to it. */
export async function visit(server: Server): Promise<{ about: About; findings: Finding[] }> {
  const { protocol } = server.url;
  const agent = new (protocol === 'https:' ? HttpsAgent : HttpAgent)({ keepAlive: true });
  try {
    const first = await ask(server, agent);
    const second = await ask(server, agent);
    const alpn = protocol === 'https:' ? await alpnOf(server.url) : undefined;
    return { about: first.about, findings: [httpFinding(first, alpn), keepAliveFinding(second)] };
  } finally {
    agent.destroy();
  }
}

/** @throws {CannotTest} */
async function ask(server: Server, agent: HttpAgent): Promise<Visit> {
  const url = server.resolve('v1/doctor');
  const send = url.protocol === 'https:' ? requestHttps : requestHttp;
  const request = send(url, {
    agent,
    headers: server.headers,
    signal: AbortSignal.timeout(PATIENCE_MS),
  });
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    request.once('response', resolve).once('error', reject).end();
  });
  const body = parse(await text(response));
  if (response.statusCode === 200 && body.object === 'doctor') {
    return {
      about: body as unknown as About,
      httpVersion: response.httpVersion,
      reused: request.reusedSocket,
    };
  }
  const { message } = Object(body.error) as { message?: unknown };
  throw new CannotTest(
    `${url.href} answers HTTP ${response.statusCode}` +
      (typeof message === 'string' ? `: ${message}` : '. Is this a Sluice server?') +
      (response.statusCode === 401 ? ' Give a key with --key or SLUICE_API_KEY.' : ''),
  );
}

function parse(json: string): Record<string, unknown> {
  try {
    return Object(JSON.parse(json)) as Record<string, unknown>;
  } catch {
    return {};
  }
}

/** The protocol that a browser would get. */
function alpnOf({ hostname, port }: URL): Promise<string | undefined> {
  return new Promise((resolve) => {
    const host = hostname.replace(/^\[(.*)\]$/, '$1');
    const socket = connect({
      host,
      port: Number(port || 443),
      servername: isIP(host) ? '' : host,
      ALPNProtocols: ['h2', 'http/1.1'],
      timeout: PATIENCE_MS,
    });
    const end = () => {
      resolve(socket.alpnProtocol || undefined);
      socket.destroy();
    };
    socket.once('secureConnect', end).once('error', end).once('timeout', end);
  });
}

function httpFinding({ about, httpVersion }: Visit, alpn: string | undefined): Finding {
  const { http_version: atServer, via } = about.request;
  const measured = { client: httpVersion, server: atServer, alpn: alpn ?? null, via };
  const finding = { id: 'http', measured } as const;
  if (httpVersion === '1.0' || atServer === '1.0') {
    const where = atServer === '1.0' ? 'a proxy asks the server with' : 'answers come in';
    return {
      ...finding,
      verdict: 'warning',
      summary: `On the way ${where} HTTP/1.0, where a stream that is cut looks like one that has ended, and no connection is used twice.`,
    };
  }
  if (alpn === 'http/1.1') {
    return {
      ...finding,
      verdict: 'warning',
      summary:
        'HTTP/1.1 only: a browser opens six connections to a host, so a seventh stream waits.',
    };
  }
  const browsers = alpn === 'h2' ? 'HTTP/2 for browsers' : 'a browser opens six streams at once';
  return { ...finding, verdict: 'ok', summary: `HTTP/${atServer} at the server, ${browsers}.` };
}

function keepAliveFinding({ reused }: Visit): Finding {
  return {
    id: 'keep-alive',
    verdict: reused ? 'ok' : 'warning',
    summary: reused
      ? 'Connections are used again.'
      : 'Every request needs a new connection, which costs it a round trip or, with TLS, several.',
    measured: { reused },
  };
}
