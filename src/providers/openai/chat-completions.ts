import type { OpenAI } from 'openai';
import type { IncomingMessage } from 'node:http';
import type { Observable } from 'rxjs';
import { cancelled } from '../../errors/chat-error.js';
import type { ChatRequest, Frame, StreamOptions } from '../chat-provider.js';
import type { HttpClient, UpstreamRequest } from '../http/http-client.js';
import { readText, streamLines } from '../http/stream-lines.js';
import { expectStream, isSuccess, refusalFields, refused } from '../http/upstream-error.js';
import { chunkParser } from './chunk.parser.js';

/** What `new OpenAI()` gets beside the address and the key: nothing from the environment. */
export const SDK_OPTIONS = { organization: null, project: null } as const;

/** Models whose heads are kept: clients may ask for what there is not. */
const MAX_HEADS = 1_000;

/** What the requests for one model have in common. */
interface Head {
  target: URL;
  headers: Record<string, string>;
}

/**
 * OpenAI's chat completions, streamed: the SDK says where a request goes and how it is authenticated,
 * the rest is done here. Its iterator costs ten times as much and ends silently when cut; what it does
 * to send a request, such as what it would log, costs more than sending it.
 */
export class ChatCompletions {
  /** Models whose server refuses `stream_options`, as Azure's old versions do. */
  private readonly withoutStreamOptions = new Set<string>();
  private readonly heads = new Map<string, Promise<Head>>();

  /** @param tokens gives the client's key for each request, where it is one that ages */
  constructor(
    private readonly client: OpenAI,
    private readonly http: HttpClient,
    private readonly maxLineLength: number,
    private readonly tokens?: () => Promise<string>,
  ) {}

  stream(model: string, request: ChatRequest, options: StreamOptions): Observable<Frame> {
    return streamLines(
      (demand) => this.open(model, request, { demand, ...options }),
      (subscriber) => chunkParser(subscriber, this.maxLineLength, this.client.apiKey),
      this.maxLineLength,
    );
  }

  private async open(
    model: string,
    request: ChatRequest,
    options: Pick<UpstreamRequest, 'demand' | 'connectMs' | 'observer'>,
    asksUsage = !this.withoutStreamOptions.has(model),
  ): Promise<IncomingMessage> {
    const { stream_options, ...rest } = request;
    const response = await this.send(model, options, {
      ...rest,
      model,
      stream: true,
      ...(asksUsage && {
        stream_options: { ...(stream_options as object | undefined), include_usage: true },
      }),
    });
    if (isSuccess(response)) {
      expectStream(response, /^text\/event-stream\b/i);
      return response;
    }
    const status = response.statusCode!;
    const text = await readText(response);
    const isAboutOptions = (status === 400 || status === 422) && text.includes('stream_options');
    if (asksUsage && isAboutOptions) {
      const stream = await this.open(model, request, options, false);
      // A refusal may have repeated the request and be about something else.
      this.withoutStreamOptions.add(model);
      return stream;
    }
    throw refused({
      ...refusalFields(text),
      status,
      header: (name) => response.headers[name]?.toString(),
      key: this.client.apiKey,
    });
  }

  private async send(
    model: string,
    options: Pick<UpstreamRequest, 'demand' | 'connectMs' | 'observer'>,
    body: object,
  ): Promise<IncomingMessage> {
    if (this.tokens) this.setKey(await this.tokens());
    const { target, headers } = await this.headFor(model);
    // Whoever asked may have left while there was a token to wait for.
    if (options.demand.closed) throw cancelled();
    return this.http.request(target, {
      method: 'POST',
      headers,
      body: JSON.stringify(body),
      ...options,
    });
  }

  private setKey(key: string) {
    if (key === this.client.apiKey) return;
    this.client.apiKey = key;
    this.heads.clear();
  }

  private headFor(model: string): Promise<Head> {
    const known = this.heads.get(model);
    if (known) return known;
    if (this.heads.size === MAX_HEADS) this.heads.clear();
    const head = this.makeHead(model);
    this.heads.set(model, head);
    return head;
  }

  private async makeHead(model: string): Promise<Head> {
    const { req, url } = await this.client.buildRequest({
      method: 'post',
      path: '/chat/completions',
      body: { model },
    });
    return { target: new URL(url), headers: plainHeaders(req.headers) };
  }
}

/** Without what the SDK tells of this machine: its system, its architecture and its runtime. */
function plainHeaders(headers: Headers): Record<string, string> {
  const plain: Record<string, string> = {};
  for (const [name, value] of headers) {
    if (!name.startsWith('x-stainless-')) plain[name] = value;
  }
  return plain;
}
