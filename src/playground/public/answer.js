import { Meter } from './meter.js';
import { randomId } from './random-id.js';

/**
 * @typedef {import('../../runs/entry.js').RunEvent} RunEvent
 * @typedef {import('../../runs/entry.js').Usage} Usage
 *
 * @typedef {object} Failure
 * @property {string} code
 * @property {string} message
 * @property {number} [retryAt] before which it would be in vain, in milliseconds since 1970
 *
 * @typedef {object} ToolCall
 * @property {number} index the provider's own number of it
 * @property {string} name
 * @property {string} arguments JSON, as far as it came
 *
 * @typedef {object} Answer what is known of an answer; plain data, to be kept
 * @property {'pending' | 'done' | 'stopped' | 'failed'} status
 * @property {import('./run-stream.js').RunCursor} cursor
 * @property {string} model what answers, or what was asked for until that is known
 * @property {string} policy
 * @property {string} system
 * @property {string} text
 * @property {string} reasoning
 * @property {string} refusal
 * @property {ToolCall[]} toolCalls
 * @property {boolean} [isStopDue] the server may not have heard yet that it was stopped
 * @property {number} resumes how often the connection was found again
 * @property {string} [finishReason]
 * @property {Usage | null} [usage]
 * @property {Failure} [failure]
 * @property {import('./meter.js').Figures} figures
 */

/**
 * An answer that was just asked for.
 * @param {{ model: string, policy: string, system: string }} asked
 * @returns {Answer}
 */
export function newAnswer({ model, policy, system }) {
  return {
    status: 'pending',
    cursor: { idempotencyKey: randomId(), sentAt: 0, runId: '', lastEventId: '' },
    model,
    policy,
    system,
    text: '',
    reasoning: '',
    refusal: '',
    toolCalls: [],
    resumes: 0,
    figures: Meter.start(),
  };
}

/**
 * Takes an event of the run into the answer.
 * @param {Answer} answer
 * @param {import('./sse.js').ServerEvent} event
 */
export function applyEvent(answer, { type, data }) {
  const event = /** @type {RunEvent} */ ({ type, data: JSON.parse(data) });
  if (answer.status === 'stopped') {
    // The model may have come to its end meanwhile, but what is kept of the answer has not.
    if (event.type === 'done' || event.type === 'cancelled' || event.type === 'error') {
      answer.usage = event.data.usage;
    }
    return;
  }
  switch (event.type) {
    case 'start':
      answer.model = event.data.model;
      break;
    case 'message':
      answer.text += event.data.content;
      break;
    case 'reasoning':
      answer.reasoning += event.data.content;
      break;
    case 'refusal':
      answer.refusal += event.data.content;
      break;
    case 'tool_call': {
      const { index, name = '', arguments: json } = event.data;
      let call = answer.toolCalls.find((one) => one.index === index);
      if (!call) answer.toolCalls.push((call = { index, name: '', arguments: '' }));
      call.name += name;
      call.arguments += json;
      break;
    }
    case 'done':
      answer.status = 'done';
      answer.finishReason = event.data.finish_reason;
      answer.usage = event.data.usage;
      break;
    case 'cancelled':
      answer.status = 'stopped';
      answer.usage = event.data.usage;
      break;
    case 'error':
      answer.status = 'failed';
      answer.failure = { code: event.data.code, message: event.data.message };
      answer.usage = event.data.usage;
      break;
  }
}

/** The types of events that a model generated. */
export const GENERATED = new Set(['message', 'reasoning', 'refusal', 'tool_call', 'delta']);
