import type { OpenAI } from 'openai';
import type { Observable, Subscription } from 'rxjs';
import { cancelled } from '../../errors/chat-error.js';
import { EXTENSIONS, type ChatRequest, type Frame, type StreamOptions } from '../chat-provider.js';
import type { UpstreamResponse } from '../http/connection.js';
import type { HttpClient, UpstreamRequest } from '../http/http-client.js';
import { readRefusal } from '../http/read-body.js';
import { streamLines } from '../http/stream-lines.js';
import { expectStream, isSuccess, refusalFields, refused } from '../http/upstream-error.js';
import { chunkParser } from './chunk.parser.js';

/** For `new OpenAI()`, which would take them from the environment. */
export const SDK_OPTIONS = { organization: null, project: null } as const;

/** Models whose heads are kept: clients may ask for what there is not. */
const MAX_HEADS = 1_000;

type Body = Record<string, unknown>;

/**
 * Requests anew for servers that refuse a parameter: Azure's old versions know no `stream_options`,
 * Mistral no `max_completion_tokens`, which is what Anthropic's clients always mean, and OpenAI itself
 * no `top_k` and `min_p`.
 */
const REWORDED = {
  stream_options: (body: Body): Body => ({ ...body, stream_options: undefined }),
  max_completion_tokens: ({ max_completion_tokens: max_tokens, ...body }: Body): Body => ({
    max_tokens,
    ...body,
  }),
  top_k: (body: Body): Body => ({ ...body, top_k: undefined }),
  min_p: (body: Body): Body => ({ ...body, min_p: undefined }),
};

type Refusable = keyof typeof REWORDED;

const REFUSABLE = Object.keys(REWORDED) as Refusable[];

/** What clients of other APIs may send to any service. A caller of OpenAI's is told of a refusal. */
const FOREIGN: readonly Refusable[] = ['top_k', 'min_p'];

/** How services say that they don't know these; to one that does, a value of theirs may be wrong. */
const UNKNOWN =
  /unknown|unrecogni[sz]ed|unsupported|unexpected|extra|not (support|permit|allow|recogni)/i;

/** What the requests for one model have in common. */
interface Head {
  model: string;
  target: URL;
  headers: Record<string, string>;
  /** What they are authenticated with. */
  key: string | null;
  /** The parameters that the server refuses. */
  refused: readonly Refusable[];
}

type SendOptions = Pick<UpstreamRequest, 'demand' | 'connectMs' | 'observer'>;

/**
 * OpenAI's chat completions, streamed: the SDK says where a request goes and how it is authenticated,
 * the rest is done here. Its iterator costs ten times as much and ends silently when cut; what it does
 * to send a request, such as what it would log, costs more than sending it.
 */
export class ChatCompletions {
  private readonly heads = new Map<string, Promise<Head>>();

  /** @param tokens gives the client's key for each request, where it is one that ages */
  constructor(
    private readonly client: OpenAI,
    private readonly http: HttpClient,
    private readonly maxLineLength: number,
    private readonly tokens?: () => Promise<string>,
  ) {}

  stream(model: string, request: ChatRequest, options: StreamOptions): Observable<Frame> {
    /** What the request was sent with: by the time of its answer the client can have another. */
    let key: string | null = null;
    const open = async (demand: Subscription) => {
      if (this.tokens) this.setKey(await this.tokens());
      const head = await this.headFor(model);
      key = head.key;
      return this.open(head, request, { demand, ...options });
    };
    return streamLines(
      open,
      (subscriber) => chunkParser(subscriber, this.maxLineLength, key),
      this.maxLineLength,
    );
  }

  private async open(
    head: Head,
    request: ChatRequest,
    options: SendOptions,
    unasked = head.refused,
  ): Promise<UpstreamResponse> {
    const { model, target, headers, key } = head;
    // Whoever asked may have left while there was something to wait for.
    if (options.demand.closed) throw cancelled();
    const { stream_options: asked } = request;
    let body: Body = {
      ...request,
      model,
      stream: true,
      stream_options: { ...(asked as object | undefined), include_usage: true },
    };
    const isTranslated = request[EXTENSIONS] !== undefined;
    const refusable = REFUSABLE.filter((name) => isTranslated || !FOREIGN.includes(name));
    for (const name of refusable) if (unasked.includes(name)) body = REWORDED[name](body);
    const response = await this.http.request(target, {
      method: 'POST',
      headers,
      body: JSON.stringify(body),
      ...options,
    });
    if (isSuccess(response)) {
      expectStream(response, /^text\/event-stream\b/i);
      return response;
    }
    const { status } = response;
    const text = await readRefusal(response);
    const said = refusalFields(text);
    // All of it where it has no words: some services have them deeper within.
    const words = said?.message === undefined ? text : `${said.param ?? ''} ${said.message}`;
    const named = refusable.find(
      (name) =>
        body[name] !== undefined &&
        words.includes(name) &&
        (!FOREIGN.includes(name) || UNKNOWN.test(words)),
    );
    if (named && (status === 400 || status === 422)) {
      const without = [...unasked, named];
      const stream = await this.open(head, request, options, without);
      // A refusal may have repeated the request and be about something else.
      head.refused = without;
      return stream;
    }
    throw refused({
      ...said,
      status,
      header: (name) => response.headers[name],
      key,
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
    const { apiKey: key } = this.client;
    const { req, url } = await this.client.buildRequest({
      method: 'post',
      path: '/chat/completions',
      body: { model },
    });
    return { model, target: new URL(url), headers: plainHeaders(req.headers), key, refused: [] };
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
