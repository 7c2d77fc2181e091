import type { ChatCompletionMessageParam } from 'openai/resources/chat/completions';
import type { Observable } from 'rxjs';
import type { ProviderSettings } from '../config/settings.js';
import type { UpstreamChunk } from './chunk.js';
import type { UpstreamObserver } from './upstream-observer.js';

/**
 * Key of the parameters that OpenAI's form has no place for, such as the size of Ollama's context:
 * for providers that know them. JSON leaves a symbol out, so that no other service is asked for what
 * it would refuse. A request of Ollama's or Anthropic's clients has them, if only an empty object.
 */
export const EXTENSIONS = Symbol('EXTENSIONS');

/**
 * OpenAI's chat-completions request without `model` and `stream`, which Sluice decides. Parameters
 * that Sluice does not know travel to the provider untouched.
 */
export interface ChatRequest {
  messages: ChatCompletionMessageParam[];
  n?: number | null;
  [EXTENSIONS]?: Record<string, unknown>;
  [parameter: string]: unknown;
}

/** One chunk of a provider's output, in OpenAI's form. */
export interface Frame {
  readonly chunk: UpstreamChunk;
  /** The chunk's JSON as upstream wrote it, where upstream spoke this form. */
  readonly json?: string;
  /**
   * Where the chunk differs from an earlier one in its text and its padding alone: what they have in
   * common, and those two. Who reads the text need not look at the chunk.
   */
  readonly template?: Template;
  readonly text?: string;
  readonly padding?: string;
}

/** What chunks have in common that differ in nothing but the text of their only choice, and padding. */
export interface Template extends Surroundings {
  /** The first of them. */
  readonly chunk: UpstreamChunk;
}

/** The JSON of such a chunk, as upstream wrote it: up to the text, from there to the padding, and on. */
export interface Surroundings {
  readonly before: string;
  /** Empty where there is no padding. */
  readonly between: string;
  readonly after: string;
}

export interface StreamOptions {
  /** How long connecting may take, in milliseconds. */
  connectMs: number;
  observer?: UpstreamObserver;
}

/**
 * A service that generates text. One adapter an upstream protocol.
 *
 * `stream()` is cold: subscribing opens the upstream request, unsubscribing aborts it and closes
 * its socket, in every phase. It emits chunks in order and then
 * - completes, when upstream said `[DONE]` (Ollama: `done:true`) or ended its body cleanly. That
 *   every choice has a finish reason is the run's to verify;
 * - or errors with a `ChatError`, at once, whatever else went wrong.
 */
export interface ChatProvider {
  /** The name before the slash in a model's name. */
  readonly name: string;
  /** Its `gen_ai.provider.name` by OpenTelemetry's conventions, where that is another. */
  readonly conventionalName?: string;
  /** Models to list; the first is the default. */
  readonly models: readonly [string, ...string[]];
  /** True when no model exists but the listed ones: a name meant for nobody gets the default. */
  readonly closed?: boolean;
  stream(model: string, request: ChatRequest, options: StreamOptions): Observable<Frame>;
}

/** Makes the adapter that a provider's settings ask for. */
export type ChatProviderFactory = (settings: ProviderSettings) => ChatProvider;

export const CHAT_PROVIDER_FACTORY = Symbol('CHAT_PROVIDER_FACTORY');
