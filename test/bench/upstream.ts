import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { BACKLOG } from './backlog.js';
import { now } from './clock.js';
import { serve } from './rpc.js';
import { scenarioOf, tokenText, type Scenario } from './scenario.js';

/** What OpenAI's servers say of a stream, as the upstream saw it. Times by {@link now}. */
export interface UpstreamStream {
  /** When each token was written. */
  sentAt: number[];
  /** When the connection of a stream that had not ended was seen closed. */
  leftAt?: number;
}

/** As long as real ones: about 300 bytes with the token. */
const [BEFORE, AFTER] = JSON.stringify({
  id: 'chatcmpl-CmQ4zAVzWcqyLkmJ0ZLnUMkS0XBrb',
  object: 'chat.completion.chunk',
  created: 1790000000,
  model: 'gpt-4o-mini-2024-07-18',
  service_tier: 'default',
  system_fingerprint: 'fp_560af6e559',
  choices: [{ index: 0, delta: { content: '\0' }, logprobs: null, finish_reason: null }],
  obfuscation: 'hQ3fLw9ZcTn',
}).split('\\u0000') as [string, string];

const LAST = [
  `${BEFORE}${AFTER}`.replace('{"content":""}', '{}').replace('reason":null', 'reason":"stop"'),
  `${BEFORE}${AFTER}`.replace(
    /"choices":\[.*\]/,
    '"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":9,"total_tokens":18}',
  ),
  '[DONE]',
];

const streams = new Map<number, UpstreamStream>();
let open = 0;

/** Those that rest, in the order in which they came; none any more once they have gone on. */
let resting: Stream[] | undefined = [];

class Stream {
  private readonly record: UpstreamStream = { sentAt: [] };
  private sent = 0;

  constructor(
    private readonly scenario: Scenario,
    private readonly response: ServerResponse,
  ) {
    streams.set(scenario.stream, this.record);
    open += 1;
    response.on('close', () => {
      open -= 1;
      if (!response.writableFinished) this.record.leftAt = now();
    });
  }

  start() {
    const { response, scenario } = this;
    response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' });
    response.flushHeaders();
    if (scenario.fault === 'silent') return;
    if (scenario.paceMs === 0) this.hurry();
    else if (this.step()) {
      if (scenario.rests && resting) resting.push(this);
      else this.goOn();
    }
  }

  /** @param phase after which part of the pace the next token is due; 0 is after all of it */
  goOn(phase = 0) {
    pacerOf(this.scenario.paceMs).add(this, phase);
  }

  /** Writes the next token. Returns false when there is no more to write. */
  step(): boolean {
    const { scenario, response } = this;
    const { socket } = response;
    if (!socket || response.destroyed) return false;
    if (socket.writableNeedDrain) return true;
    if (this.sent >= scenario.tokens) {
      if (!scenario.hold) this.end();
      return false;
    }
    const padding = scenario.pad === undefined ? '' : 'x'.repeat(scenario.pad);
    const frame = `data: ${BEFORE}${tokenText(this.sent)}${padding}${AFTER}\n\n`;
    this.sent += 1;
    this.record.sentAt.push(now());
    // One chunk of HTTP in one write: what a lean server would do, so that it is no bottleneck.
    socket.write(`${frame.length.toString(16)}\r\n${frame}\r\n`, 'latin1');
    return true;
  }

  private hurry() {
    while (this.step()) {
      if (!this.response.socket?.writableNeedDrain) continue;
      this.response.socket.once('drain', () => this.hurry());
      return;
    }
  }

  private end() {
    const { response, scenario } = this;
    switch (scenario.fault) {
      case 'reset':
        response.socket?.resetAndDestroy();
        return;
      case 'truncate':
        response.end();
        return;
      case 'malformed':
        response.end('data: {"choices":[\n\n');
        return;
      default:
        response.end(LAST.map((data) => `data: ${data}\n\n`).join(''));
    }
  }
}

/** Streams of one pace, each at its own phase within it. One timer for all. */
class Pacer {
  private readonly slots: Set<Stream>[];
  private at = Math.floor(now());

  constructor(paceMs: number) {
    this.slots = Array.from({ length: paceMs }, () => new Set());
    setInterval(() => this.tick(), 1);
  }

  add(stream: Stream, phase: number) {
    const { length } = this.slots;
    this.slots[(this.at + Math.floor(phase * length)) % length]!.add(stream);
  }

  private tick() {
    for (const until = Math.floor(now()); this.at < until;) {
      this.at += 1;
      const slot = this.slots[this.at % this.slots.length]!;
      for (const stream of slot) if (!stream.step()) slot.delete(stream);
    }
  }
}

const pacers = new Map<number, Pacer>();

function pacerOf(paceMs: number): Pacer {
  const pacer = pacers.get(paceMs) ?? new Pacer(paceMs);
  pacers.set(paceMs, pacer);
  return pacer;
}

const server = createServer((request, response) => {
  let body = '';
  request.setEncoding('utf8');
  request.on('data', (text: string) => (body += text));
  request.on('end', () => {
    const scenario = scenarioOf(body);
    if (scenario.fault === 'refuse') response.writeHead(500).end('{}');
    else if (scenario.fault === 'limit') response.writeHead(429, { 'retry-after': '1' }).end('{}');
    else new Stream(scenario, response).start();
  });
});

/** No gateway is to lose a connection that it has pooled while it is measured. */
const KEEP_ALIVE_MS = 600_000;

const handlers = {
  /** @param keepAliveMs how long a connection is kept that nothing is asked on */
  listen: ({ keepAliveMs = KEEP_ALIVE_MS }: { keepAliveMs?: number } = {}) =>
    new Promise<number>((resolve) => {
      server.keepAliveTimeout = keepAliveMs;
      server.listen({ port: 0, host: '127.0.0.1', backlog: BACKLOG }, () =>
        resolve((server.address() as AddressInfo).port),
      );
    }),
  /** All that rest go on, spread evenly over their pace. Returns when, by {@link now}. */
  goOn: () => {
    const streams = resting ?? [];
    resting = undefined;
    streams.forEach((stream, index) => stream.goOn(index / streams.length));
    return now();
  },
  /** How many streams are open. */
  open: () => open,
  /** All streams since the last report. */
  report: () => {
    const report = new Map(streams);
    streams.clear();
    return report;
  },
};

export type Upstream = typeof handlers;

serve(handlers);
