import { applyEvent, GENERATED } from './answer.js';
import { ApiError } from './api.js';
import { requestOf } from './conversations.js';
import { Meter } from './meter.js';
import { RunStream } from './run-stream.js';

/** How often an answer is kept while it grows: what came since is asked for again after a reload. */
const SAVE_MS = 1_000;

/**
 * An answer on its way, whether it is on screen or not. Dispatches `change` whenever there is
 * something new to show, `lost` and `found` for its connection, and `end` once.
 */
export class Answering extends EventTarget {
  connection = /** @type {import('./run-stream.js').Connection} */ ('connecting');

  #save;
  #stream;
  #meter;
  #savedAt = 0;
  #isLost = false;

  /**
   * @param {object} options
   * @param {import('./api.js').Api} options.api
   * @param {import('./conversations.js').Conversation} options.conversation
   * @param {import('./conversations.js').Turn} options.turn
   * @param {() => void} options.save
   */
  constructor({ api, conversation, turn, save }) {
    super();
    this.conversation = conversation;
    this.turn = turn;
    this.#save = save;
    const { answer } = turn;
    // What was begun before a reload has lost its connection by it.
    this.#meter = new Meter(answer.figures, answer.cursor.lastEventId !== '');
    this.#stream = new RunStream({
      api,
      request: requestOf(conversation, turn),
      policy: answer.policy,
      cursor: answer.cursor,
      isStopping: answer.status === 'stopped',
      onEvent: (event) => this.#take(event),
      onConnection: (connection) => this.#connect(connection),
    });
  }

  get answer() {
    return this.turn.answer;
  }

  /** Resolves when the answer has come to its end, whichever. */
  async run() {
    try {
      await this.#stream.follow();
      this.answer.isStopDue = false;
    } catch (error) {
      if (this.answer.status === 'pending') this.#fail(error);
      // Only a run that is gone needs no stop; another failure may be over with the next reload.
      if (error instanceof ApiError && error.status === 404) this.answer.isStopDue = false;
    }
    this.#save();
    this.dispatchEvent(new Event('end'));
  }

  /** Stops the generation. To whoever looks on it is stopped at once. */
  stop() {
    if (this.answer.status !== 'pending') return;
    this.answer.status = 'stopped';
    this.answer.isStopDue = this.answer.cursor.sentAt > 0;
    this.#save();
    this.dispatchEvent(new Event('change'));
    // Where that does not reach the server, the next connection tells it, after a reload too.
    this.#stream.stop().catch(() => undefined);
  }

  /** @param {import('./sse.js').ServerEvent} event */
  #take(event) {
    const { answer } = this;
    if (GENERATED.has(event.type) && answer.status === 'pending') this.#meter.token();
    applyEvent(answer, event);
    const now = performance.now();
    if (now - this.#savedAt > SAVE_MS) {
      this.#savedAt = now;
      this.#save();
    }
    this.dispatchEvent(new Event('change'));
  }

  /**
   * @param {import('./run-stream.js').Connection} connection
   */
  #connect(connection) {
    // What was stopped is not followed for its own sake.
    if (this.answer.status !== 'pending') return;
    const isFoundAgain = connection === 'open' && this.answer.cursor.lastEventId !== '';
    if (isFoundAgain) this.answer.resumes += 1;
    this.connection = connection;
    this.#save();
    if (connection === 'off' || connection === 'lost') this.#lose();
    if (connection === 'open' && this.#isLost) this.#find();
    this.dispatchEvent(new Event('change'));
  }

  #lose() {
    this.#meter.cut();
    if (!this.#isLost) this.dispatchEvent(new Event('lost'));
    this.#isLost = true;
  }

  #find() {
    this.#isLost = false;
    this.dispatchEvent(new Event('found'));
  }

  /** @param {unknown} error */
  #fail(error) {
    const { code, message, retryAfterMs } =
      error instanceof ApiError ? error : new ApiError('internal', String(error));
    this.answer.status = 'failed';
    this.answer.failure = {
      code,
      message,
      ...(retryAfterMs !== undefined && { retryAt: Date.now() + retryAfterMs }),
    };
  }
}
