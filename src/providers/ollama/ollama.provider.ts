import type { Observable } from 'rxjs';
import type { ServiceOf } from '../../config/file/providers.schema.js';
import type { ChatProvider, ChatRequest, Frame, StreamOptions } from '../chat-provider.js';
import type { UpstreamResponse } from '../http/connection.js';
import type { HttpClient, UpstreamRequest } from '../http/http-client.js';
import { readRefusal } from '../http/read-body.js';
import { streamLines } from '../http/stream-lines.js';
import { expectStream, isSuccess, refusalFields, refused } from '../http/upstream-error.js';
import { chatParser } from './chat.parser.js';
import { toOllamaRequest } from './chat-request.js';

/**
 * Ollama through its native `/api/chat`: its OpenAI-compatible route loses the errors that come in
 * the middle of a stream.
 */
export class OllamaProvider implements ChatProvider {
  readonly models;
  private readonly target: URL;

  constructor(
    readonly name: string,
    { baseUrl, models }: ServiceOf<'ollama'>,
    private readonly http: HttpClient,
    private readonly maxLineLength: number,
  ) {
    this.models = models;
    const base = baseUrl ?? 'http://127.0.0.1:11434';
    // Clients of Ollama's other routes are given the address with their path.
    this.target = new URL(`${base.replace(/(\/(api|v1))?\/*$/, '')}/api/chat`);
  }

  stream(model: string, request: ChatRequest, options: StreamOptions): Observable<Frame> {
    return streamLines(
      (demand) => this.open(model, request, { demand, ...options }),
      (subscriber) => chatParser(model, subscriber),
      this.maxLineLength,
    );
  }

  private async open(
    model: string,
    request: ChatRequest,
    options: Pick<UpstreamRequest, 'demand' | 'connectMs' | 'observer'>,
  ): Promise<UpstreamResponse> {
    const response = await this.http.request(this.target, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'application/x-ndjson' },
      body: JSON.stringify(toOllamaRequest(model, request)),
      ...options,
    });
    if (!isSuccess(response)) {
      throw refused({
        ...refusalFields(await readRefusal(response)),
        status: response.status,
        header: (name) => response.headers[name],
      });
    }
    expectStream(response, /^application\/(x-ndjson|jsonl)\b/i);
    return response;
  }
}
