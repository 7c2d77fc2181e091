import { Upstream, type UpstreamOptions } from './upstream.js';

export type { Exchange, Scenario } from './exchange.js';
export type { ChatBody, UpstreamRequest } from './request.js';
export * from './texts.js';
export type { Upstream, UpstreamOptions } from './upstream.js';
export { PROMPT_TOKENS, type Protocol } from './wire.js';

/**
 * Starts a model server on 127.0.0.1 that streams, and fails, as it is told. `docs/faults.md` says what
 * it can play: the model's name, such as `text_tokens-50_ms-5`, is what decides.
 */
export async function startUpstream(options: UpstreamOptions = {}): Promise<Upstream> {
  return new Upstream(options).listen(options.port);
}
