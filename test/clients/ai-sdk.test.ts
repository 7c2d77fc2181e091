import * as provider from '@ai-sdk/openai-compatible';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import * as ai from 'ai';
import type { ChatInit, ChatState, UIMessage } from 'ai';
import { startApp, type RunningApp } from '../support/app.js';
import { eventually } from '../support/eventually.js';
import { describeLines } from '../support/newest.js';
import {
  PROMPT_TOKENS,
  REASONING,
  TEXT,
  TEXT_TOKENS,
  TOOL_CALLS,
  startUpstream,
  type Upstream,
} from '../support/upstream/index.js';

let upstream: Upstream;
let server: RunningApp;

beforeAll(async () => {
  upstream = await startUpstream();
  server = await startApp({ OPENAI_BASE_URL: `${upstream.url}/v1`, DEMO: 'on', HEARTBEAT_MS: 20 });
});
afterEach(() => upstream.reset());
afterAll(async () => {
  await server.close();
  await upstream.close();
});

const SPOKEN = TEXT_TOKENS.slice(0, 3).join('');

const USAGE = {
  inputTokens: PROMPT_TOKENS,
  outputTokens: TEXT_TOKENS.length,
  totalTokens: PROMPT_TOKENS + TEXT_TOKENS.length,
};

const INPUTS = TOOL_CALLS.map((call) => JSON.parse(call.arguments) as unknown);

/** A silence after the third token, many heartbeats long. */
const SILENCE_MS = 300;

function scriptSilence() {
  upstream.script('silence', async (x) => {
    x.role();
    await x.tokens(TEXT_TOKENS.slice(0, 3));
    await x.sleep(SILENCE_MS);
    await x.tokens(TEXT_TOKENS.slice(3));
    x.complete();
  });
}

await describeLines(['ai', '@ai-sdk/openai-compatible'], { ...ai, ...provider }, (sdk) => {
  const {
    APICallError,
    AbstractChat,
    DefaultChatTransport,
    lastAssistantMessageIsCompleteWithToolCalls,
  } = sdk;
  const { createOpenAICompatible, generateText, jsonSchema, streamText, tool } = sdk;

  /** What `useChat` is made of, without React. */
  class Chat extends AbstractChat<UIMessage> {
    constructor(init: ChatInit<UIMessage>) {
      const state: ChatState<UIMessage> = {
        status: 'ready',
        error: undefined,
        messages: init.messages ?? [],
        pushMessage: (message) => (state.messages = [...state.messages, message]),
        popMessage: () => (state.messages = state.messages.slice(0, -1)),
        replaceMessage: (at, message) => (state.messages = state.messages.with(at, message)),
        snapshot: (thing) => structuredClone(thing),
      };
      super({ ...init, state });
    }

    /** The text of the answer so far. */
    get text(): string {
      const parts = this.lastMessage?.role === 'assistant' ? this.lastMessage.parts : [];
      return parts.map((part) => (part.type === 'text' ? part.text : '')).join('');
    }
  }

  describe.each(['/api/chat', '/v1/chat/ui'])("the AI SDK's chat at %s", (api) => {
    interface Options extends Partial<ChatInit<UIMessage>> {
      headers?: Record<string, string>;
      body?: object;
    }

    function chatWith(model: string, { headers, body, ...init }: Options = {}): Chat {
      const address = `${server.url}${api}`;
      const options = { api: address, headers, body: { model, ...body } };
      return new Chat({ ...init, transport: new DefaultChatTransport(options) });
    }

    it('shows a text, and knows its usage, its model and its run', async () => {
      const finished: unknown[] = [];
      const chat = chatWith('text', {
        onFinish: ({ finishReason }) => finished.push(finishReason),
      });
      await chat.sendMessage({ text: 'hi' });

      expect(chat.status).toBe('ready');
      expect(chat.messages.map(({ role }) => role)).toEqual(['user', 'assistant']);
      expect(chat.text).toBe(TEXT);
      expect(chat.lastMessage).toMatchObject({
        id: expect.stringMatching(/^run_/) as unknown,
        metadata: { model: 'openai/text', usage: { ...USAGE, source: 'provider' } },
        parts: [{ type: 'step-start' }, { type: 'text', state: 'done' }],
      });
      expect(finished).toEqual(['stop']);
    });

    it('shows reasoning apart from the answer', async () => {
      const chat = chatWith('reasoning');
      await chat.sendMessage({ text: 'hi' });

      expect(chat.lastMessage?.parts).toMatchObject([
        { type: 'step-start' },
        { type: 'reasoning', text: REASONING, state: 'done' },
        { type: 'text', text: TEXT, state: 'done' },
      ]);
    });

    it('calls tools in its page, and has one message go on with their results', async () => {
      upstream.script('assist', async (x) => {
        x.role();
        if (x.request.body.messages?.at(-1)?.role === 'tool') {
          await x.tokens(TEXT_TOKENS);
          x.complete();
        } else {
          x.tools(TOOL_CALLS);
          x.complete('tool_calls');
        }
      });
      const chat = chatWith('assist', {
        sendAutomaticallyWhen: lastAssistantMessageIsCompleteWithToolCalls,
        onToolCall: ({ toolCall }) => {
          const { toolName, toolCallId } = toolCall;
          void chat.addToolOutput({ tool: toolName, toolCallId, output: { of: toolName } });
        },
      });
      await chat.sendMessage({ text: 'hi' });
      await eventually(() => expect(chat.text).toBe(TEXT));

      expect(chat.messages).toHaveLength(2);
      expect(chat.lastMessage?.parts).toMatchObject([
        { type: 'step-start' },
        ...TOOL_CALLS.map(({ id, name }, at) => ({
          type: `tool-${name}`,
          toolCallId: id,
          state: 'output-available',
          input: INPUTS[at],
        })),
        { type: 'step-start' },
        { type: 'text' },
      ]);
      expect(upstream.requests[1]?.body.messages?.slice(1)).toMatchObject([
        { role: 'assistant', tool_calls: TOOL_CALLS.map(({ id }) => ({ id })) },
        ...TOOL_CALLS.map(({ id, name }) => ({
          role: 'tool',
          tool_call_id: id,
          content: JSON.stringify({ of: name }),
        })),
      ]);
    });

    it('shows an error, behind what came before, where upstream fails in mid-stream', async () => {
      for (const model of ['error-mid', 'rst-mid', 'eof-mid']) {
        const chat = chatWith(model);
        await chat.sendMessage({ text: 'hi' });

        expect(chat.status).toBe('error');
        expect(chat.error?.message).toMatch(/^[A-Z].*\.$/);
        expect(chat.text).toBe(SPOKEN);
      }
    });

    it('shows the sentence with which it is refused', async () => {
      const chat = chatWith('demo/error');
      await chat.sendMessage({ text: 'hi' });

      expect(chat.status).toBe('error');
      expect(chat.error?.message).toBe('demo/error is never available.');
    });

    it('closes the upstream when it is stopped', async () => {
      const chat = chatWith('stall');
      const sending = chat.sendMessage({ text: 'hi' });
      const request = await upstream.next();
      await eventually(() => expect(chat.text).toBe(SPOKEN));
      await chat.stop();

      await request.closed;
      expect(request.closedEarly).toBe(true);
      await sending;
      expect(chat.status).toBe('ready');
    });

    it('survives a long silence', async () => {
      scriptSilence();
      const chat = chatWith('silence');
      await chat.sendMessage({ text: 'hi' });
      expect(chat.text).toBe(TEXT);
    });

    it('resumes after a reload with the whole message, and nothing once that is over', async () => {
      const headers = { 'sluice-on-disconnect': 'grace=5' };
      const before = chatWith('slow_tokens-12_ms-50', { id: `reload ${api}`, headers });
      const sending = before.sendMessage({ text: 'hi' });
      await eventually(() => expect(before.text).not.toBe(''));
      await before.stop();
      await sending;

      const messages = before.messages.slice(0, 1);
      const after = chatWith('', { id: `reload ${api}`, messages });
      await after.resumeStream();
      expect(after.messages).toHaveLength(2);
      expect(after.lastMessage?.id).toBe(before.lastMessage?.id);
      expect(after.text).toBe(TEXT_TOKENS.slice(0, 12).join(''));
      expect(upstream.requests).toHaveLength(1);

      await after.resumeStream();
      expect(after).toMatchObject({ status: 'ready', error: undefined });
      expect(after.messages).toHaveLength(2);
    });

    it('is ready again when somebody stops its run at the server', async () => {
      const chat = chatWith('stall', { id: 'halted' });
      const sending = chat.sendMessage({ text: 'hi' });
      await eventually(() => expect(chat.text).toBe(SPOKEN));
      await fetch(`${server.url}${api}/halted/stop`, { method: 'POST' });

      await sending;
      expect(chat).toMatchObject({ status: 'ready', error: undefined, text: SPOKEN });
    });

    it('sends files', async () => {
      const url = 'data:image/png;base64,iVBORw0KGgo=';
      const chat = chatWith('text');
      await chat.sendMessage({
        text: 'What?',
        files: [{ type: 'file', mediaType: 'image/png', url }],
      });

      const [message] = upstream.requests[0]?.body.messages ?? [];
      expect(message?.content).toEqual([
        { type: 'image_url', image_url: { url } },
        { type: 'text', text: 'What?' },
      ]);
    });
  });

  describe("the AI SDK's OpenAI-compatible provider", () => {
    const model = (name: string) =>
      createOpenAICompatible({
        name: 'sluice',
        baseURL: `${server.url}/v1`,
        includeUsage: true,
      }).chatModel(name);

    const tools = Object.fromEntries(
      TOOL_CALLS.map(({ name }) => [
        name,
        tool({ inputSchema: jsonSchema({ type: 'object', properties: {} }) }),
      ]),
    );

    it('streams a text with its usage', async () => {
      const result = streamText({ model: model('text'), prompt: 'hi' });
      let text = '';
      for await (const delta of result.textStream) text += delta;

      expect(text).toBe(TEXT);
      expect(await result.usage).toMatchObject(USAGE);
      expect(await result.finishReason).toBe('stop');
    });

    it('gets a text at once, with its usage', async () => {
      const { text, usage } = await generateText({ model: model('text'), prompt: 'hi' });
      expect(text).toBe(TEXT);
      expect(usage).toMatchObject(USAGE);
    });

    it('calls tools, streaming and not', async () => {
      const request = { model: model('tools'), prompt: 'hi', tools };
      const expected = TOOL_CALLS.map(({ id, name }, at) => ({
        toolCallId: id,
        toolName: name,
        input: INPUTS[at],
      }));

      expect(await streamText(request).toolCalls).toMatchObject(expected);
      expect((await generateText(request)).toolCalls).toMatchObject(expected);
    });

    it('has an error part, behind what came before, where upstream fails in mid-stream', async () => {
      for (const play of ['error-mid', 'rst-mid', 'eof-mid']) {
        const errors: unknown[] = [];
        const { fullStream } = streamText({
          model: model(play),
          prompt: 'hi',
          onError: ({ error }) => void errors.push(error),
        });
        let text = '';
        for await (const part of fullStream) if (part.type === 'text-delta') text += part.text;

        expect(text).toBe(SPOKEN);
        expect(errors).toHaveLength(1);
      }
    });

    it('throws its own error where it is refused', async () => {
      const asking = generateText({ model: model('demo/error'), prompt: 'hi', maxRetries: 0 });
      const error: unknown = await asking.catch((reason: unknown) => reason);

      expect(APICallError.isInstance(error)).toBe(true);
      expect(error).toMatchObject({ statusCode: 502, message: 'demo/error is never available.' });
    });

    it('closes the upstream when it aborts, streaming and not', async () => {
      for (const ask of [streamText, generateText]) {
        const controller = new AbortController();
        const abortSignal = controller.signal;
        const result = ask({ model: model('stall'), prompt: 'hi', abortSignal, maxRetries: 0 });
        void Promise.resolve('text' in result ? result.text : result).catch(() => undefined);
        const request = await upstream.next();
        controller.abort();

        await request.closed;
        expect(request.closedEarly).toBe(true);
      }
    });

    it('survives a long silence', async () => {
      scriptSilence();
      const result = streamText({ model: model('silence'), prompt: 'hi' });
      expect(await result.text).toBe(TEXT);
    });
  });
});
