import { request, type IncomingMessage } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { now } from './clock.js';
import { serve } from './rpc.js';
import { requestBody, TOKEN_LENGTH, type Scenario } from './scenario.js';

/** Streams to open: one scenario for all of them, beside their numbers. */
export interface Load {
  port: number;
  path: string;
  /** The API key, where one is asked for. */
  key?: string;
  /** The first stream's number. */
  first: number;
  count: number;
  /** They are started evenly over this time, in milliseconds. */
  overMs: number;
  scenario: Omit<Scenario, 'stream'>;
  /** Whether the tokens' text arrives, so that their order can be checked. */
  checked: boolean;
  /** What the last bytes of a whole answer contain. */
  ending?: string;
  /** Whether nothing of the answer is ever read. */
  stalled?: boolean;
}

/** A stream as the client saw it. Times by {@link now}, in milliseconds. */
export interface ClientStream {
  startedAt: number;
  /** When each token arrived. */
  arrivedAt: number[];
  status?: number;
  /** When the client itself left. */
  leftAt?: number;
  /** What went wrong first. */
  fault?: string;
}

const AT = '@'.charCodeAt(0);
const TILDE = '~'.charCodeAt(0);
const ZERO = '0'.charCodeAt(0);
const OPEN_TIMEOUT_MS = 20_000;

const streams = new Map<number, Reader>();

class Reader {
  readonly record: ClientStream = { startedAt: now(), arrivedAt: [] };
  private readonly outgoing;
  private tail?: Buffer;
  private last: Buffer[] = [];

  /** @param onFirst called at the first token, or when there will be none */
  constructor(
    stream: number,
    private readonly load: Load,
    private readonly onFirst: () => void,
  ) {
    const body = requestBody({ ...load.scenario, stream });
    this.outgoing = request({
      host: '127.0.0.1',
      port: load.port,
      path: load.path,
      method: 'POST',
      agent: false,
      headers: {
        'content-type': 'application/json',
        'content-length': Buffer.byteLength(body),
        ...(load.key !== undefined && { authorization: `Bearer ${load.key}` }),
      },
    });
    this.outgoing.on('response', (response) => this.read(response));
    this.outgoing.on('error', (error) => this.fail(String(error)));
    this.outgoing.on('close', onFirst);
    this.outgoing.end(body);
  }

  get isOpen(): boolean {
    return !this.outgoing.closed;
  }

  leave(how: 'FIN' | 'RST') {
    this.record.leftAt = now();
    if (how === 'RST') this.outgoing.socket?.resetAndDestroy();
    else this.outgoing.destroy();
  }

  private fail(fault: string) {
    if (this.record.leftAt === undefined) this.record.fault ??= fault;
  }

  private read(response: IncomingMessage) {
    this.record.status = response.statusCode;
    if (response.statusCode !== 200) this.fail(`status ${response.statusCode}`);
    if (this.load.stalled) {
      this.onFirst();
      return;
    }
    response.on('data', (bytes: Buffer) => this.count(bytes));
    response.on('error', (error) => this.fail(String(error)));
    response.on('end', () => {
      const { ending, scenario } = this.load;
      if (this.record.arrivedAt.length < scenario.tokens) this.fail('ended early');
      if (ending !== undefined && !Buffer.concat(this.last).includes(ending)) this.fail('no end');
    });
  }

  private count(bytes: Buffer) {
    const time = now();
    const { record, load } = this;
    const { arrivedAt } = record;
    if (arrivedAt.length === 0) this.onFirst();
    this.last = [this.last.at(-1) ?? bytes, bytes];
    const buffer = this.tail ? Buffer.concat([this.tail, bytes]) : bytes;
    this.tail = undefined;
    for (let at = buffer.indexOf(AT); at !== -1; at = buffer.indexOf(AT, at + TOKEN_LENGTH)) {
      if (at + TOKEN_LENGTH > buffer.length) {
        this.tail = buffer.subarray(at);
        return;
      }
      if (load.checked && !isToken(buffer, at, arrivedAt.length)) this.fail('frame not intact');
      arrivedAt.push(time);
    }
  }
}

function isToken(buffer: Buffer, at: number, index: number): boolean {
  let value = 0;
  const end = at + TOKEN_LENGTH - 1;
  for (let i = at + 1; i < end; i++) value = value * 10 + buffer[i]! - ZERO;
  return value === index && buffer[end] === TILDE;
}

/** Calls `act` for each of `count`, spread evenly over a time. */
async function spread(count: number, overMs: number, act: (index: number) => void) {
  const startedAt = now();
  for (let done = 0; done < count;) {
    const due = overMs === 0 ? count : Math.ceil(((now() - startedAt) / overMs) * count);
    for (; done < Math.min(due, count); done++) act(done);
    if (done < count) await sleep(1);
  }
}

const handlers = {
  /** Resolves when every stream has its first token or will have none. */
  open: async (load: Load) => {
    const firsts: Promise<void>[] = [];
    await spread(load.count, load.overMs, (index) => {
      firsts.push(
        new Promise((resolve) => {
          streams.set(load.first + index, new Reader(load.first + index, load, resolve));
        }),
      );
    });
    await Promise.race([Promise.all(firsts), sleep(OPEN_TIMEOUT_MS, undefined, { ref: false })]);
  },
  /** Resolves when every stream is over. */
  settled: async () => {
    while ([...streams.values()].some(({ isOpen }) => isOpen)) await sleep(10);
  },
  /** Leaves every stream that is open, half of them with a reset. */
  leave: async ({ overMs }: { overMs: number }) => {
    const open = [...streams.values()].filter(({ isOpen }) => isOpen);
    await spread(open.length, overMs, (index) => open[index]!.leave(index % 2 ? 'RST' : 'FIN'));
  },
  /** All streams since the last report. */
  report: () => {
    const report = new Map([...streams].map(([stream, { record }]) => [stream, record]));
    streams.clear();
    return report;
  },
};

export type Client = typeof handlers;

serve(handlers);
