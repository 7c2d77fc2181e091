import { randomUUID } from 'node:crypto';
import { request as requestHttp, type IncomingHttpHeaders, type IncomingMessage } from 'node:http';
import { request as requestHttps } from 'node:https';
import type { Readable } from 'node:stream';
import { constants, createBrotliDecompress, createGunzip, createInflate } from 'node:zlib';
import type { Server } from '../server.js';
import { SseDecoder } from '../sse-decoder.js';

/** A probe that has not ended so long after it should have is dead, in milliseconds. */
const PATIENCE_MS = 5_000;

/** What the server is asked to send. */
export interface ProbePlan {
  every_ms: number;
  for_ms: number;
  bytes?: number;
  as?: 'event' | 'comment';
  hint?: 'on' | 'off';
}

/** Something that came: when it was sent by the server's clock, and when it was here by ours. */
export interface Arrival {
  sentMs: number;
  arrivedMs: number;
  bytes: number;
}

/**
 * How a probe ended: as the server meant it; refused with a status; cut; without a sign of life;
 * because we left; because the server shut down.
 */
export type Ending = 'complete' | 'refused' | 'cut' | 'dead' | 'left' | 'shutdown';

/** What one probe showed. Times in milliseconds since it was asked for. */
export interface Recording {
  readonly arrivals: Arrival[];
  connectedMs?: number;
  status?: number;
  headers: IncomingHttpHeaders;
  httpVersion?: string;
  ending?: Ending;
  endedMs: number;
}

/** One probe, on a connection of its own. */
export class ProbeCall {
  readonly id = randomUUID();
  readonly recording: Recording = { arrivals: [], headers: {}, endedMs: 0 };
  /** Resolves with the recording once the probe has ended, however it did. */
  readonly ended: Promise<Recording>;

  /** Resolves once something came, or the probe has ended. */
  readonly begun: Promise<void>;

  private readonly startedAt = performance.now();
  private onBegin: () => void = () => undefined;
  private onEnd: (recording: Recording) => void = () => undefined;
  private readonly patience: NodeJS.Timeout;
  private readonly request;

  /** @param encodings what we say that we can read */
  constructor(server: Server, plan: ProbePlan, encodings = 'gzip, deflate, br') {
    this.begun = new Promise((resolve) => (this.onBegin = resolve));
    this.ended = new Promise((resolve) => (this.onEnd = resolve));
    const url = server.resolve('v1/doctor/stream');
    for (const [name, value] of Object.entries({ id: this.id, ...plan })) {
      url.searchParams.set(name, String(value));
    }
    const headers = {
      ...server.headers,
      accept: 'text/event-stream',
      'accept-encoding': encodings,
    };
    const send = url.protocol === 'https:' ? requestHttps : requestHttp;
    this.request = send(url, { headers, agent: false }, (response) => this.read(response));
    this.request.once('socket', (socket) => {
      socket.setNoDelay(true);
      const event = url.protocol === 'https:' ? 'secureConnect' : 'connect';
      socket.once(event, () => (this.recording.connectedMs = this.nowMs));
    });
    this.request.on('error', () => this.end('cut'));
    this.request.end();
    this.patience = setTimeout(() => this.end('dead'), plan.for_ms + PATIENCE_MS);
  }

  /** Leaves as a client does whose page was closed. */
  leave() {
    this.end('left');
  }

  private get nowMs(): number {
    return performance.now() - this.startedAt;
  }

  private read(response: IncomingMessage) {
    const { recording } = this;
    recording.status = response.statusCode;
    recording.headers = response.headers;
    recording.httpVersion = response.httpVersion;
    response.on('error', () => this.end('cut'));
    if (response.statusCode !== 200) {
      this.end('refused');
      return;
    }
    let ending: Ending = 'cut';
    const note = (data: string) => {
      const { at: sentMs } = JSON.parse(data) as { at: number };
      const bytes = Buffer.byteLength(data) + 'data: \n\n'.length;
      recording.arrivals.push({ sentMs, arrivedMs: this.nowMs, bytes });
      this.onBegin();
    };
    const decoder = new SseDecoder(({ event, data }) => {
      if (event === 'done') ending = 'complete';
      else if (event === 'error') ending = 'shutdown';
      else note(data);
    }, note);
    const body = decoded(response);
    body.on('data', (bytes: Buffer) => decoder.push(bytes));
    body.on('error', () => this.end('cut'));
    body.once('end', () => this.end(ending));
  }

  private end(ending: Ending) {
    if (this.recording.ending !== undefined) return;
    this.recording.ending = ending;
    this.recording.endedMs = this.nowMs;
    clearTimeout(this.patience);
    this.request.destroy();
    this.onBegin();
    this.onEnd(this.recording);
  }
}

/** What a proxy compressed is shown as soon as it can be read. */
function decoded(response: IncomingMessage): Readable {
  const flush = constants.Z_SYNC_FLUSH;
  switch (response.headers['content-encoding']) {
    case 'gzip':
      return response.pipe(createGunzip({ flush, finishFlush: flush }));
    case 'deflate':
      return response.pipe(createInflate({ flush, finishFlush: flush }));
    case 'br':
      return response.pipe(createBrotliDecompress());
    default:
      return response;
  }
}
