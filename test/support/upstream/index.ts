import { Upstream, type UpstreamOptions } from './upstream.js';

export type { Exchange, Scenario } from './exchange.js';
export type { ChatBody, UpstreamRequest } from './request.js';
export * from './texts.js';
export type { Upstream, UpstreamOptions } from './upstream.js';
export { PROMPT_TOKENS, type Protocol } from './wire.js';

/**
 * Starts a model server on a free port of 127.0.0.1 that streams, and fails, as it is told.
 *
 * It speaks OpenAI at `…/chat/completions`, Azure at
 * `/openai/deployments/<deployment>/chat/completions?api-version=…` and
 * `/openai/v1/chat/completions`, and Ollama at `/api/chat`. The model's name (on Azure's first
 * path the deployment) says what to play: `<scenario>{_<option>-<integer>}`, such as
 * `text_tokens-50_ms-5`. Any other name is refused with 404.
 *
 * | option | means | default |
 * |---|---|---|
 * | `tokens` | how many tokens the answer has | those of `TEXT` |
 * | `ms` | pause before each token; 0: as fast as the socket takes them | 2 |
 * | `after` | tokens before the fault | 3 |
 * | `wait` | ms before anything is answered | 0 |
 * | `bytes` | size of `big` | 4 MiB |
 * | `retryafter` | seconds in Retry-After of a `status-…` | 7 with 429, else no header |
 * | `times` | only the first so many requests for this very name; then `text` | always |
 *
 * | scenario | plays |
 * |---|---|
 * | `text` | `TEXT`, or with `tokens` `textOf(tokens)`, and a good end |
 * | `slow`, `flood` | `text` with 100 ms a token; 10,000 tokens without a pause |
 * | `echo` | the last user message, a word a token |
 * | `big`, `nasty` | `bigText(bytes)` in one chunk; `NASTY` |
 * | `split` | `text`, every byte in a write of its own |
 * | `reasoning`, `refusal`, `tools` | `REASONING`, then `text`; `REFUSAL`; `TOOL_CALLS` in parallel |
 * | `choices-2` | two choices, interleaved, the second in capitals (Ollama: one) |
 * | `length`, `content-filter` | another finish reason; the second after 3 tokens |
 * | `azure-frames` | `text` with Azure's prompt filter and asynchronous filter frames |
 * | `finish-with-content` | the last content on the chunk with the finish reason |
 * | `no-usage`, `usage-on-finish` | no usage though asked; unasked, on the chunk with the finish reason |
 * | `refuses-stream-options` | 400 if the body has `stream_options`, else `text` |
 * | `sse-crlf`, `sse-cr`, `sse-bom`, `sse-comments`, `sse-multiline` | `text` in another valid framing (Ollama: `text`) |
 * | `status-<n>` | an error body in the protocol's shape; 400 401 402 403 404 408 409 413 418 422 429 500 502 503 504 529. 401 repeats the key that came |
 * | `status-<n>-html`, `status-<n>-empty` | the same status with an HTML page, with no body |
 * | `redirect` | 302 to `/redirected` |
 * | `ok-json`, `ok-html`, `ok-empty` | 200 with a whole JSON answer, with HTML, with no body |
 * | `ok-wrong-type` | `text` labelled `text/plain` |
 * | `wait-headers`, `wait-first`, `stall` | silence at once, after head and role chunk, after 3 tokens |
 * | `rst-first`, `fin-first` | RST or FIN instead of a head |
 * | `rst-mid`, `fin-mid` | RST, or FIN without the final HTTP chunk, after 3 tokens |
 * | `eof-mid`, `cut-line` | a good end of the body after 3 tokens; and half a frame |
 * | `done-without-finish` | 3 tokens and `[DONE]`, no finish reason |
 * | `finish-without-done`, `finish-then-rst`, `finish-then-hang` | `text` up to the finish reason, then a good end of the body; RST; silence |
 * | `done-then-hang`, `done-then-late-end` | `[DONE]`, but the body's end never comes; comes 20 ms late |
 * | `malformed` | 3 tokens, a chunk of broken JSON, and on |
 * | `error-first`, `error-mid` | an error within a 200 stream, at once or after 3 tokens |
 * | `endless-line` | 3 tokens, then up to 64 MiB without a line end |
 */
export async function startUpstream(options: UpstreamOptions = {}): Promise<Upstream> {
  return new Upstream(options).listen();
}
