import { ApiError } from './api.js';
import { nextTask } from './next-task.js';
import { EventParser, readEvents } from './sse.js';

/** No heartbeat for so long: nobody is there any more, though nobody said so. */
const SILENCE_MS = 60_000;
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 8_000;
/** When nobody was reached for so long, that is an error. */
const GIVE_UP_MS = 300_000;
/** For so long a key finds the run that was begun with it. Later it may begin another. */
const KEY_FINDS_MS = 120_000;
/** Events that came at once are taken for so long at a time; then the page has its turn. */
const BUDGET_MS = 8;

const TERMINALS = new Set(['done', 'cancelled', 'error']);

/**
 * @typedef {import('./sse.js').ServerEvent} ServerEvent
 *
 * @typedef {'connecting' | 'open' | 'off' | 'lost'} Connection
 *   `off` while the page's own network is switched off, `lost` until the next attempt
 *
 * @typedef {object} RunCursor what has to be kept to go on after a reload
 * @property {string} idempotencyKey
 * @property {number} sentAt when the server was asked first, in milliseconds since 1970; 0 before
 * @property {string} runId empty until it is known
 * @property {string} lastEventId empty until one came
 *
 * @typedef {object} RunStreamOptions
 * @property {import('./api.js').Api} api
 * @property {import('./api.js').ChatRequest} request
 * @property {string} policy what becomes of the run while nobody views it
 * @property {RunCursor} cursor is kept up to date
 * @property {boolean} [isStopping] it was stopped before a reload, and the server may not know
 * @property {(event: ServerEvent) => void} onEvent every event of the run once, in order
 * @property {(connection: Connection) => void} onConnection
 */

/** One run, from its start to its last event, over as many connections as that takes. */
export class RunStream {
  #options;
  #ended = false;
  #isStopping;
  /** Whether a connection broke before it named a run: there may be one. */
  #mayRun = false;
  #retryMs = FIRST_WAIT_MS;

  /** @param {RunStreamOptions} options */
  constructor(options) {
    this.#options = options;
    this.#isStopping = options.isStopping ?? false;
  }

  /**
   * Resolves after the run's last event.
   * Rejects with an {@link ApiError} when the run was refused or is gone.
   */
  async follow() {
    const { api, cursor, onConnection } = this.#options;
    let reachedAt = performance.now();
    let failures = 0;
    for (;;) {
      if (!api.network.isOn) {
        onConnection('off');
        await api.network.whenOn();
        reachedAt = performance.now();
        failures = 0;
      }
      if (this.#isOver()) return;
      cursor.sentAt ||= Date.now();
      onConnection('connecting');
      /** @type {unknown} */
      let problem;
      try {
        await this.#connect(() => {
          reachedAt = performance.now();
          failures = 0;
        });
      } catch (error) {
        if (!this.#canMend(error)) throw error;
        problem = error;
      }
      if (this.#ended) return;
      if (!api.network.isOn) continue;
      if (performance.now() - reachedAt > GIVE_UP_MS) {
        if (problem instanceof ApiError) throw problem;
        throw new ApiError('unreachable', 'The server could not be reached for five minutes.');
      }
      const ms = Math.min(this.#retryMs * 2 ** failures, LONGEST_WAIT_MS);
      failures += 1;
      onConnection('lost');
      await api.network.wait(ms);
    }
  }

  /**
   * Stops the generation. The run then ends with its last event as ever; where its name is not
   * known yet, it is stopped as soon as it is.
   */
  async stop() {
    this.#isStopping = true;
    const { api, cursor } = this.#options;
    if (cursor.runId) await api.cancel(cursor.runId);
  }

  /**
   * Whether there is no run to be stopped, and to ask for it would begin one.
   * @throws {ApiError} when that is so of one that is wanted
   */
  #isOver() {
    const { policy, cursor } = this.#options;
    if (cursor.lastEventId) return false;
    const isLost = policy === 'cancel' && cursor.sentAt > 0;
    if (this.#isStopping) return isLost || Date.now() - cursor.sentAt > KEY_FINDS_MS;
    if (!isLost) return false;
    throw new ApiError('cancelled', 'The connection was lost before the first token.');
  }

  /**
   * One connection, to its end.
   * @param {() => void} onAlive whenever the server shows that it is there
   */
  async #connect(onAlive) {
    const { api, cursor, onConnection } = this.#options;
    const silence = new AbortController();
    const giveUp = () => silence.abort();
    let watch = setTimeout(giveUp, SILENCE_MS);
    try {
      const response = await this.#open(silence.signal);
      // The end was seen, and not taken note of before a reload.
      if (response.status === 204) {
        this.#ended = true;
        return;
      }
      const runId = response.headers.get('Sluice-Run-Id');
      // What would be a 503 is a 200 for EventSource, which asks again only after that.
      if (runId === null) {
        throw new ApiError('store_unavailable', 'The answer can’t be found now.', { status: 503 });
      }
      onAlive();
      cursor.runId = runId;
      if (this.#isStopping) await api.cancel(cursor.runId);
      onConnection('open');
      const parser = new EventParser(cursor.lastEventId);
      let pauseAt = 0;
      for await (const events of readEvents(response, parser)) {
        clearTimeout(watch);
        watch = setTimeout(giveUp, SILENCE_MS);
        onAlive();
        for (const event of events) {
          if (performance.now() > pauseAt) {
            await nextTask();
            pauseAt = performance.now() + BUDGET_MS;
          }
          this.#take(event);
        }
      }
      this.#retryMs = parser.retryMs ?? this.#retryMs;
    } finally {
      clearTimeout(watch);
    }
  }

  /** @param {AbortSignal} signal */
  #open(signal) {
    const { api, request, policy, cursor } = this.#options;
    const { idempotencyKey, runId, lastEventId } = cursor;
    return lastEventId
      ? api.events(runId, { lastEventId, signal })
      : api.start(request, { idempotencyKey, policy, signal });
  }

  /** @param {ServerEvent} event */
  #take(event) {
    const { cursor, onEvent } = this.#options;
    const before = seqOf(cursor.lastEventId);
    const seq = seqOf(event.id);
    this.#ended = TERMINALS.has(event.type);
    // An end may come without a number of its own: a run whose server died has none left to give.
    if (seq <= before && !this.#ended) return;
    if (seq > before + 1) throw new TypeError(`event ${before + 1} is missing`);
    cursor.runId = event.id.slice(0, event.id.lastIndexOf(':'));
    cursor.lastEventId = event.id;
    onEvent(event);
  }

  /**
   * Whether another attempt may help by itself: a broken connection, or a bad moment of the server
   * while a run was resumed, or of something in front of it while one may go on. That one the key finds.
   * @param {unknown} error
   */
  #canMend(error) {
    if (!(error instanceof ApiError)) return (this.#mayRun = true);
    if (error.status < 500) return false;
    return this.#options.cursor.lastEventId !== '' || (this.#mayRun && error.code === 'http');
  }
}

/** @param {string} id `<run>:<number>` */
function seqOf(id) {
  return id === '' ? 0 : Number(id.slice(id.lastIndexOf(':') + 1));
}
