import { APIError, OpenAIError, type OpenAI } from 'openai';
import type { ChatCompletionCreateParamsStreaming } from 'openai/resources/chat/completions';
import type { IncomingMessage } from 'node:http';
import type { Observable } from 'rxjs';
import { ChatError } from '../../errors/chat-error.js';
import type { ChatRequest, Frame, StreamOptions } from '../chat-provider.js';
import { streamLines } from '../http/stream-lines.js';
import { expectStream, refused, type RefusalFields } from '../http/upstream-error.js';
import { chunkParser } from './chunk.parser.js';
import type { SdkFetchOptions, StreamResponse } from './sdk-fetch.js';

/** What `new OpenAI()` gets beside the address and the key: no retry, deadline or log of its own. */
export const SDK_OPTIONS = { maxRetries: 0, timeout: 2 ** 31 - 1, logLevel: 'off' } as const;

/**
 * OpenAI's chat completions, streamed: the SDK sends the request and reads a refusal, the stream is
 * read here (its iterator costs ten times as much and ends silently when cut).
 */
export class ChatCompletions {
  /** Models whose server refuses `stream_options`, as Azure's old versions do. */
  private readonly withoutStreamOptions = new Set<string>();

  constructor(
    private readonly client: OpenAI,
    private readonly maxLineLength: number,
  ) {}

  stream(model: string, request: ChatRequest, options: StreamOptions): Observable<Frame> {
    return streamLines(
      (signal) => this.open(model, request, { upstream: { signal, ...options } }),
      (subscriber) => chunkParser(subscriber, this.maxLineLength, this.client.apiKey),
      this.maxLineLength,
    );
  }

  private async open(
    model: string,
    request: ChatRequest,
    fetchOptions: SdkFetchOptions,
    asksUsage = !this.withoutStreamOptions.has(model),
  ): Promise<IncomingMessage> {
    const { stream_options, ...rest } = request;
    const body = {
      ...rest,
      model,
      stream: true,
      ...(asksUsage && {
        stream_options: { ...(stream_options as object | undefined), include_usage: true },
      }),
    } as ChatCompletionCreateParamsStreaming;
    try {
      const options = { fetchOptions: fetchOptions as object };
      const response = await this.client.chat.completions.create(body, options).asResponse();
      return streamOf(response as StreamResponse);
    } catch (error) {
      if (asksUsage && refusesStreamOptions(error)) {
        const stream = await this.open(model, request, fetchOptions, false);
        // A refusal may have repeated the request and be about something else.
        this.withoutStreamOptions.add(model);
        return stream;
      }
      throw toChatError(error, this.client.apiKey);
    }
  }
}

function streamOf({ stream }: StreamResponse): IncomingMessage {
  try {
    expectStream(stream, /^text\/event-stream\b/i);
    return stream;
  } catch (error) {
    stream.destroy();
    throw error;
  }
}

function refusesStreamOptions(error: unknown): boolean {
  return (
    error instanceof APIError &&
    (error.status === 400 || error.status === 422) &&
    /stream_options/.test(`${error.param ?? ''} ${error.message}`)
  );
}

function toChatError(error: unknown, key: string | null): unknown {
  // The SDK wraps what the connection failed with, or who was to give it a token.
  if (error instanceof OpenAIError && error.cause instanceof ChatError) return error.cause;
  if (!(error instanceof APIError)) return error;
  if (error.status === undefined) {
    return new ChatError('provider_unavailable', 'The provider could not be reached.', {
      cause: error,
    });
  }
  const said = error.error as RefusalFields | undefined;
  return refused({
    status: error.status as number,
    header: (name) => (error.headers as Headers | undefined)?.get(name),
    key,
    message: said?.message,
    type: error.type,
    code: error.code,
    param: error.param,
  });
}
