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
 * | `bytes` | size of `big` and of `comment-flood`; where `rst-at`, `fin-at` and `eof-at` cut | 4 MiB; 1 MiB; 0 |
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
 * | `empty-choices`, `comment-flood` | `text` between frames whose `choices` are empty, null or missing; behind 1 MiB of comments |
 * | `close-delimited`, `early-hints` | `text` whose end is that of the connection; behind a 103 |
 * | `status-<n>` | an error body in the protocol's shape; 400 401 402 403 404 408 409 413 418 422 429 500 502 503 504 529. 401 repeats the key that came |
 * | `status-<n>-html`, `status-<n>-empty` | the same status with an HTML page, with no body |
 * | `status-400-key`, `status-400-gzip` | 400 that repeats the key; in gzip, unasked |
 * | `status-400-endless`, `status-503-hang` | an error body that never ends; half an error body and silence |
 * | `status-204` | no content |
 * | `retry-after-<form>` | 429 whose wait is a `date` 7 s ahead, a date in the `past`, `ms` (1500, beside 7 s), `absurd`, `negative`, `garbage` |
 * | `redirect`, `redirect-307` | 302 to `/redirected`; 307 to `text` at the same route |
 * | `ok-json`, `ok-html`, `ok-empty`, `ok-error` | 200 with a whole JSON answer, with HTML, with no body, with an error's JSON |
 * | `ok-gzip`, `ok-no-type` | `text` in gzip, unasked; without a content type |
 * | `ok-wrong-type` | `text` labelled `text/plain` |
 * | `wait-headers`, `wait-first`, `stall` | silence at once, after head and role chunk, after 3 tokens |
 * | `ping-first`, `ping-mid` | head and role chunk, or 3 tokens, and then a comment every 50 ms (Ollama: an empty line) |
 * | `empty-first`, `empty-mid` | the same with frames whose content is empty |
 * | `rst-first`, `fin-first` | RST or FIN instead of a head |
 * | `stale-rst`, `stale-fin` | RST or FIN instead of a head where the connection had a request before; else `text` |
 * | `not-http`, `upgrade` | another protocol's greeting; 101 |
 * | `endless-headers`, `slow-headers` | a head without an end, as fast as it is taken; a line every 50 ms |
 * | `long-length`, `bad-chunk` | `text` and a FIN before the end that Content-Length names; 3 tokens and an HTTP chunk without a length |
 * | `rst-mid`, `fin-mid` | RST, or FIN without the final HTTP chunk, after 3 tokens |
 * | `rst-at`, `fin-at`, `eof-at` | `text` of the model `cut`, cut after the option `bytes` by RST, by FIN, by a good end of the body |
 * | `eof-mid`, `cut-line` | a good end of the body after 3 tokens; and half a frame |
 * | `done-without-finish` | 3 tokens and `[DONE]`, no finish reason |
 * | `finish-without-done`, `finish-then-rst`, `finish-then-hang` | `text` up to the finish reason, then a good end of the body; RST; silence |
 * | `done-then-hang`, `done-then-late-end` | `[DONE]`, but the body's end never comes; comes 20 ms late |
 * | `done-then-more`, `done-then-flood` | another frame, an error and `[DONE]` behind `[DONE]`; frames without an end |
 * | `malformed`, `wrong-shape` | 3 tokens, a chunk of broken JSON or of another shape, and on |
 * | `error-first`, `error-mid`, `error-key` | an error within a 200 stream, at once or after 3 tokens; at once, and it repeats the key |
 * | `finish-error` | 3 tokens and the finish reason `error` |
 * | `endless-line`, `endless-event` | 3 tokens, then up to 64 MiB without a line end; in lines of one event |
 */
export async function startUpstream(options: UpstreamOptions = {}): Promise<Upstream> {
  return new Upstream(options).listen();
}
