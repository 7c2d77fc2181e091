/**
 * @typedef {import('../../errors/chat-error.js').ErrorCode} ServerCode
 *
 * @typedef {object} Words
 * @property {string} title what happened
 * @property {string} advice what to do about it
 * @property {'again' | 'key' | 'new'} [remedy] what the page can do about it
 */

const PROVIDER = 'The model’s service';

/** @satisfies {Record<ServerCode | 'unreachable' | 'http', Words>} */
const WORDS = {
  invalid_request: {
    title: 'The request was not valid',
    advice: 'Change what is named below, and ask again.',
    remedy: 'again',
  },
  model_not_found: {
    title: 'There is no such model',
    advice: 'Choose another model under the message, and ask again.',
    remedy: 'again',
  },
  run_not_found: {
    title: 'The server no longer has this answer',
    advice:
      'It keeps answers for some minutes only. What had arrived is here; ask again for the rest.',
    remedy: 'again',
  },
  invalid_api_key: {
    title: 'This server wants an API key',
    advice: 'Enter one that its operator gave you.',
    remedy: 'key',
  },
  permission_denied: {
    title: 'You may not do that here',
    advice:
      'This key may not use that model or was withdrawn, or this page was opened under a name that the server does not answer to.',
    remedy: 'key',
  },
  rate_limit_exceeded: {
    title: 'Too many requests',
    advice:
      'Your key has reached the limit that is named below. Ask again when the button lets you, or for less at once.',
    remedy: 'again',
  },
  insufficient_quota: {
    title: 'The budget is used up',
    advice:
      'Your key has spent what it may for now. Ask its operator for more, or come back later.',
  },
  idempotency_mismatch: {
    title: 'This question was changed under way',
    advice: 'The same request came before with other words. Ask again.',
    remedy: 'again',
  },
  provider_rate_limited: {
    title: 'The model is busy',
    advice: `${PROVIDER} takes no more requests for the moment.`,
    remedy: 'again',
  },
  provider_rejected: {
    title: 'The model refused the request',
    advice: `${PROVIDER} says below what it did not like. Change that, or choose another model.`,
    remedy: 'again',
  },
  provider_auth: {
    title: 'The server may not use this model',
    advice: `${PROVIDER} does not accept the server’s own credentials. Its operator can mend that.`,
  },
  provider_unavailable: {
    title: 'The model can’t be reached',
    advice: `${PROVIDER} is down, or the server can’t get to it. Ask again in a moment, or choose another model.`,
    remedy: 'again',
  },
  provider_truncated: {
    title: 'The answer broke off',
    advice: `${PROVIDER} ended without saying that it was finished. What had arrived is here, but there may be more to it.`,
    remedy: 'again',
  },
  provider_malformed: {
    title: 'The model sent something that can’t be read',
    advice: `${PROVIDER} does not keep to its own format. Ask again, or choose another model.`,
    remedy: 'again',
  },
  provider_error: {
    title: 'The model failed in mid-answer',
    advice: `${PROVIDER} reported an error of its own. What had arrived is here.`,
    remedy: 'again',
  },
  timeout_connect: {
    title: 'The model can’t be reached',
    advice: `${PROVIDER} did not take the call in time. Ask again, or choose another model.`,
    remedy: 'again',
  },
  timeout_first_token: {
    title: 'The model did not begin',
    advice:
      'It was waited for as long as the server allows. A shorter question or another model may help.',
    remedy: 'again',
  },
  timeout_idle: {
    title: 'The model fell silent',
    advice: 'Nothing more came for as long as the server waits. What had arrived is here.',
    remedy: 'again',
  },
  timeout_total: {
    title: 'The answer took too long',
    advice: 'It was still being written when its time was over. Ask for something shorter.',
    remedy: 'again',
  },
  shutting_down: {
    title: 'The server is restarting',
    advice: 'It will be back in a moment.',
    remedy: 'again',
  },
  store_unavailable: {
    title: 'The server can’t find its notes',
    advice: 'What it shares with other servers is away for the moment. Ask again shortly.',
    remedy: 'again',
  },
  run_lost: {
    title: 'The server that wrote this is gone',
    advice: 'It went down in mid-answer. What had arrived is here.',
    remedy: 'again',
  },
  resume_gap: {
    title: 'Part of this answer is no longer kept',
    advice: 'You were away for too long. What had arrived is here.',
    remedy: 'again',
  },
  cancelled: { title: 'Stopped', advice: 'The answer was stopped.', remedy: 'again' },
  internal: {
    title: 'Something went wrong',
    advice: 'That should not happen. Ask again; if it stays, tell the operator of this server.',
    remedy: 'again',
  },
  unreachable: {
    title: 'The server can’t be reached',
    advice: 'It may be down, or your connection is. Check both, and ask again.',
    remedy: 'again',
  },
  http: {
    title: 'Something else answered',
    advice:
      'Not this server, but something in front of it. Ask again; if it stays, tell its operator.',
    remedy: 'again',
  },
};

/**
 * What to tell a person of a failure.
 * @param {string} code
 * @returns {Words}
 */
export function wordsFor(code) {
  /** @type {Record<string, Words>} */
  const words = WORDS;
  // A provider's own code comes through where it refused the request.
  return Object.hasOwn(words, code)
    ? (words[code] ?? WORDS.provider_rejected)
    : WORDS.provider_rejected;
}
