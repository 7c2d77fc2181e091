import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import * as eventsource from 'eventsource';
import { startApp, type RunningApp } from '../support/app.js';
import { describeLines } from '../support/newest.js';
import {
  NASTY,
  REASONING,
  TEXT,
  TEXT_TOKENS,
  startUpstream,
  type Upstream,
} from '../support/upstream/index.js';

let upstream: Upstream;
let server: RunningApp;
let sources: eventsource.EventSource[] = [];

beforeAll(async () => {
  upstream = await startUpstream();
  server = await startApp({ OPENAI_BASE_URL: `${upstream.url}/v1` });
});
afterEach(() => {
  for (const source of sources) source.close();
  sources = [];
  upstream.reset();
});
afterAll(async () => {
  await server.close();
  await upstream.close();
});

await describeLines(['eventsource'], eventsource, ({ EventSource }) => {
  function listen(query: Record<string, string>): eventsource.EventSource {
    const search = new URLSearchParams(query).toString();
    const source = new EventSource(`${server.url}/v1/chat/stream?${search}`);
    sources.push(source);
    return source;
  }

  /** The first event of this name that carries data. */
  function next(source: eventsource.EventSource, name: string): Promise<MessageEvent<string>> {
    return new Promise((resolve) => {
      source.addEventListener(name, (event) => {
        if ('data' in event && event.data !== undefined) resolve(event as MessageEvent<string>);
      });
    });
  }

  describe('EventSource', () => {
    it.each([
      ['text', TEXT],
      ['nasty', NASTY],
      ['big_bytes-500000', 'Sluice 💧 '.repeat(Math.ceil(500_000 / 12))],
    ])('reads %s with one line of code', async (model, text) => {
      const source = listen({ q: 'hi', model });
      let out = '';
      source.onmessage = ({ data }) => {
        out += (JSON.parse(data as string) as { content: string }).content;
      };

      const { data } = await next(source, 'done');

      expect(out).toBe(text);
      expect(JSON.parse(data)).toMatchObject({ finish_reason: 'stop', model: `openai/${model}` });
    });

    it('sends its question as the message of the user', async () => {
      const source = listen({ q: 'What & why?', model: 'echo' });
      const first = await next(source, 'message');
      expect(JSON.parse(first.data)).toEqual({ content: 'What' });

      const { body } = await upstream.next();
      expect(body.messages).toEqual([{ role: 'user', content: 'What & why?' }]);
    });

    it('is given an id with every event, so that it knows where it was', async () => {
      const source = listen({ q: 'hi', model: 'text_tokens-2' });
      const ids: string[] = [];
      for (const name of ['start', 'message', 'done']) {
        source.addEventListener(name, ({ lastEventId }) => ids.push(lastEventId));
      }
      const [start] = await Promise.all([next(source, 'start'), next(source, 'done')]);

      const { id } = JSON.parse(start.data) as { id: string };
      expect(ids).toEqual([1, 2, 3, 4].map((seq) => `${id}:${seq}`));
    });

    it('tells reasoning apart', async () => {
      const source = listen({ q: 'hi', model: 'reasoning' });
      let thoughts = '';
      source.addEventListener('reasoning', ({ data }) => {
        thoughts += (JSON.parse(data as string) as { content: string }).content;
      });
      await next(source, 'done');
      expect(thoughts).toBe(REASONING);
    });

    it('shows what an error in mid-stream says', async () => {
      const source = listen({ q: 'hi', model: 'error-mid' });
      const tokens: string[] = [];
      source.onmessage = ({ data }) => {
        tokens.push((JSON.parse(data as string) as { content: string }).content);
      };

      const { data } = await next(source, 'error');
      source.close();

      expect(tokens).toEqual(TEXT_TOKENS.slice(0, 3));
      expect(JSON.parse(data)).toEqual({
        code: 'provider_error',
        message: 'The engine is overloaded.',
        retryable: true,
        usage: { prompt_tokens: 7, completion_tokens: 3, total_tokens: 10, source: 'estimated' },
      });
    });

    it('is told the status of a refusal and stays closed', async () => {
      const source = listen({ q: 'hi', model: 'status-429' });
      const { code } = await new Promise<eventsource.ErrorEvent>(
        (resolve) => (source.onerror = resolve),
      );

      expect(code).toBe(429);
      expect(source.readyState).toBe(EventSource.CLOSED);
    });

    it('stops the generation when it is closed', async () => {
      const source = listen({ q: 'hi', model: 'stall' });
      await next(source, 'message');
      const request = await upstream.next();
      source.close();

      await request.closed;
      expect(request.closedEarly).toBe(true);
    });
  });
});
