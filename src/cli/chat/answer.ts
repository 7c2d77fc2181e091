import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { isTerminal, type RunEvent } from '../../runs/entry.js';
import { causeOf, Refusal, type Server } from '../server.js';
import { SseDecoder, type SseEvent } from '../sse-decoder.js';

/** How long the server keeps an answer going whose client is away, in seconds. */
export const GRACE_SECONDS = 30;

/** Three of the server's heartbeats: a connection that is silent for longer is dead, in milliseconds. */
const SILENCE_MS = 45_000;

const FIRST_PAUSE_MS = 200;
const MAX_PAUSE_MS = 5_000;
const STOP_ATTEMPTS = 3;

/** What a connection says that was made, and then lost. */
const LOST = ['ECONNRESET', 'EPIPE', 'UND_ERR_SOCKET'];

export type AnswerEvent = RunEvent & { id: string };

/** A chat request; `messages` in OpenAI's form. */
export interface Question {
  model?: string;
  messages: { role: 'system' | 'user' | 'assistant'; content: string }[];
  max_completion_tokens?: number;
}

/** One answer, however often the connection to it is lost. */
export class Answer {
  private readonly key = randomUUID();
  private readonly leaving = new AbortController();
  private readonly runId: Promise<string>;
  private onRunId: (id: string) => void = () => undefined;
  private lastId = '';
  private isConnected = false;
  private lostAt?: number;

  /** @param notify gets a sentence when the connection is lost, and when it is back */
  constructor(
    private readonly server: Server,
    private readonly question: Question,
    private readonly notify: (sentence: string) => void,
  ) {
    this.runId = new Promise((resolve) => (this.onRunId = resolve));
  }

  /**
   * The answer's events, each exactly once. The last is `done`, `cancelled` or `error`, unless the
   * answer was left.
   * @throws {Refusal} when the server does not give it; what `fetch` throws when there is no server
   */
  async *events(): AsyncGenerator<AnswerEvent> {
    for (let attempt = 0; !this.isLeft(); attempt += 1) {
      let problem: Error | undefined;
      try {
        for await (const event of this.connect()) {
          attempt = 0;
          this.lastId = event.id;
          yield event;
          if (isTerminal(event)) return;
        }
      } catch (error) {
        if (this.isLeft()) return;
        if (!this.canResume(error, this.lostAt !== undefined)) throw error;
        problem = error as Error;
      }
      this.lost(problem);
      const pause = Math.min(FIRST_PAUSE_MS * 2 ** attempt, MAX_PAUSE_MS) * Math.random();
      await sleep(pause, undefined, { signal: this.leaving.signal }).catch(() => undefined);
    }
  }

  /**
   * Stops the generation; the events then come to their end.
   * @throws when the server can't be told
   */
  async stop(): Promise<void> {
    // The server names the run with its first content: before that nothing was generated.
    const path = `v1/runs/${await this.runId}/cancel`;
    for (let attempt = 1; ; attempt += 1) {
      try {
        await this.server.call(path, { method: 'POST', signal: AbortSignal.timeout(5_000) });
        return;
      } catch (error) {
        if (attempt === STOP_ATTEMPTS) throw error;
        await sleep(FIRST_PAUSE_MS * attempt);
      }
    }
  }

  /** Gives up on the answer; the server goes on with it until its grace is over. */
  leave() {
    this.leaving.abort();
  }

  /** @throws when it has been for longer than the server waits */
  private lost(problem = new Error('the answer breaks off again and again')) {
    if (this.lostAt === undefined) {
      this.notify('The connection is lost. Resuming …');
      this.lostAt = performance.now();
    } else if (performance.now() - this.lostAt > GRACE_SECONDS * 1000) {
      throw problem;
    }
  }

  private back() {
    if (this.lostAt !== undefined) this.notify('Back again.');
    this.lostAt = undefined;
  }

  private isLeft(): boolean {
    return this.leaving.signal.aborted;
  }

  private async *connect(): AsyncGenerator<AnswerEvent> {
    const connection = new AbortController();
    const silence = setTimeout(() => connection.abort(), SILENCE_MS);
    try {
      const response = await this.request(
        AbortSignal.any([connection.signal, this.leaving.signal]),
      );
      const runId = response.headers.get('sluice-run-id');
      if (runId === null) {
        // What would be a 503 is a 200 for EventSource, which asks again only after that.
        const message = 'The server does not have the answer at hand.';
        throw new Refusal(response.status, `http_${response.status}`, message, true);
      }
      this.isConnected = true;
      this.onRunId(runId);
      const events: SseEvent[] = [];
      const decoder = new SseDecoder((event) => events.push(event));
      for await (const bytes of response.body ?? []) {
        silence.refresh();
        this.back();
        decoder.push(Buffer.from(bytes as Uint8Array));
        for (const { event, id, data } of events.splice(0)) {
          yield { type: event, id, data: JSON.parse(data) as unknown } as AnswerEvent;
        }
      }
    } finally {
      clearTimeout(silence);
      connection.abort();
    }
  }

  /** Asks for the run again by its key, which never starts a second one, until an event names it. */
  private request(signal: AbortSignal) {
    const [runId] = this.lastId.split(':');
    if (runId) {
      const headers = { 'last-event-id': this.lastId };
      return this.server.call(`v1/runs/${runId}/events`, { headers, signal });
    }
    const headers = {
      'idempotency-key': this.key,
      'sluice-on-disconnect': `grace=${GRACE_SECONDS}`,
    };
    return this.server.call('v1/chat/stream', {
      method: 'POST',
      headers,
      body: this.question,
      signal,
    });
  }

  /** @param isAgain whether an earlier request was lost, so that the run may be there */
  private canResume(error: unknown, isAgain: boolean): boolean {
    const mayRun = this.isConnected || isAgain;
    if (error instanceof Refusal) return mayRun && error.retryable;
    return mayRun || LOST.includes(causeOf(error));
  }
}
