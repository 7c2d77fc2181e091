/**
 * @typedef {object} ServerEvent
 * @property {string} type `message` where the event has no name
 * @property {string} data
 * @property {string} id the last id that came, with this event or before
 */

const CR = 13;
const LF = 10;

/**
 * Parses server-sent events, wherever the text is cut, as
 * https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation says.
 */
export class EventParser {
  /** How long the server wants its clients to wait before they come back, in milliseconds. */
  retryMs = /** @type {number | undefined} */ (undefined);

  #line = '';
  #isAfterCR = false;
  #isFirstLine = true;
  #type = '';
  /** @type {string[]} */
  #data = [];
  #id;

  /** @param {string} [lastEventId] */
  constructor(lastEventId = '') {
    this.#id = lastEventId;
  }

  /**
   * @param {string} text
   * @returns {ServerEvent[]} the events that this text completed
   */
  push(text) {
    /** @type {ServerEvent[]} */
    const events = [];
    let start = 0;
    for (let at = 0; at < text.length; at += 1) {
      const code = text.charCodeAt(at);
      if (code !== LF && code !== CR) {
        this.#isAfterCR = false;
        continue;
      }
      const isSecondHalf = code === LF && this.#isAfterCR;
      this.#isAfterCR = code === CR;
      if (!isSecondHalf) {
        const event = this.#end(this.#line + text.slice(start, at));
        if (event) events.push(event);
        this.#line = '';
      }
      start = at + 1;
    }
    this.#line += text.slice(start);
    return events;
  }

  /** @param {string} line */
  #end(line) {
    if (this.#isFirstLine) line = line.replace(/^\uFEFF/, '');
    this.#isFirstLine = false;
    if (line === '') return this.#dispatch();
    const colon = line.indexOf(':');
    if (colon === 0) return undefined;
    const field = colon === -1 ? line : line.slice(0, colon);
    const value = colon === -1 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (field === 'data') this.#data.push(value);
    else if (field === 'event') this.#type = value;
    else if (field === 'id' && !value.includes('\0')) this.#id = value;
    else if (field === 'retry' && /^\d+$/.test(value)) this.retryMs = Number(value);
    return undefined;
  }

  #dispatch() {
    const type = this.#type || 'message';
    const data = this.#data;
    this.#type = '';
    this.#data = [];
    return data.length === 0 ? undefined : { type, data: data.join('\n'), id: this.#id };
  }
}

/**
 * The events of a response, in the batches in which they came; an empty batch is a sign of life.
 * @param {Response} response
 * @param {EventParser} parser
 * @returns {AsyncGenerator<ServerEvent[]>} throws when the connection breaks
 */
export async function* readEvents({ body }, parser) {
  const reader = body?.pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    const { done = true, value } = (await reader?.read()) ?? {};
    if (done || value === undefined) return;
    yield parser.push(value);
  }
}
