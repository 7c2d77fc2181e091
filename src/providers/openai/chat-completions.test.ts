import { beforeEach, describe, expect, it, jest } from '@jest/globals';
import { OpenAI } from 'openai';
import { lastValueFrom } from 'rxjs';
import { upstreamResponse } from '../../../test/support/upstream-response.js';
import { EXTENSIONS, type ChatRequest } from '../chat-provider.js';
import { HttpClient } from '../http/http-client.js';
import { ChatCompletions, SDK_OPTIONS } from './chat-completions.js';

describe(ChatCompletions.name, () => {
  const observer = { sending: jest.fn<() => never>() };
  let request: jest.SpiedFunction<HttpClient['request']>;
  let tokens: jest.Mock<() => Promise<string>>;
  let sut: ChatCompletions;

  beforeEach(() => {
    const http = new HttpClient();
    request = jest.spyOn(http, 'request').mockRejectedValue(new Error('sent'));
    tokens = jest.fn(() => Promise.resolve('token'));
    const client = new OpenAI({
      ...SDK_OPTIONS,
      baseURL: 'http://provider.invalid',
      apiKey: tokens,
    });
    sut = new ChatCompletions(client, http, 1_000, tokens);
  });

  const refusal = (error: object) => upstreamResponse(400, JSON.stringify({ error }));
  const stream = () => sut.stream('text', { messages: [] }, { connectMs: 5, observer });

  it('should send a request that tells nothing of this machine', async () => {
    await expect(lastValueFrom(stream())).rejects.toThrow();
    expect(request).toHaveBeenCalledTimes(1);
    const [url, { headers, body, ...sent }] = request.mock.calls[0]!;
    expect(url.href).toBe('http://provider.invalid/chat/completions');
    expect(sent).toMatchObject({ method: 'POST', connectMs: 5, observer });
    expect(headers).toEqual({
      accept: 'application/json',
      authorization: 'Bearer token',
      'content-type': 'application/json',
      'user-agent': expect.stringMatching(/^OpenAI\/JS /),
    });
    expect(JSON.parse(body!)).toEqual({
      model: 'text',
      messages: [],
      stream: true,
      stream_options: { include_usage: true },
    });
  });

  it('should ask for the token of each request', async () => {
    await expect(lastValueFrom(stream())).rejects.toThrow();
    tokens.mockResolvedValueOnce('another');
    await expect(lastValueFrom(stream())).rejects.toThrow();
    expect(tokens).toHaveBeenCalledTimes(2);
    expect(request.mock.calls[1]![1].headers).toMatchObject({ authorization: 'Bearer another' });
  });

  it.each([
    ['in its message', { message: 'Unknown field stream_options' }, 2],
    ['as its parameter', { message: 'Unknown field', param: 'stream_options' }, 2],
    ['deeper within', { inner: { message: 'stream_options' } }, 2],
    ['beside a message about something else', { message: 'No', request: 'stream_options' }, 1],
  ])(
    'should ask anew, or not, where a refusal names stream_options %s',
    async (_name, error, times) => {
      request.mockResolvedValueOnce(refusal(error));
      await expect(lastValueFrom(stream())).rejects.toThrow();
      expect(request).toHaveBeenCalledTimes(times);
    },
  );

  it('should ask for max_tokens where max_completion_tokens are refused, and then at once', async () => {
    const limited = () =>
      sut.stream('text', { messages: [], max_completion_tokens: 9 }, { connectMs: 5, observer });
    const message = JSON.stringify([{ type: 'extra_forbidden', loc: ['max_completion_tokens'] }]);
    request.mockResolvedValueOnce(refusal({ message }));
    request.mockImplementation(() =>
      Promise.resolve(upstreamResponse(200, '', { 'content-type': 'text/event-stream' })),
    );
    for (let time = 0; time < 2; time++) await expect(lastValueFrom(limited())).rejects.toThrow();
    const asked = request.mock.calls.map(([, { body }]) => JSON.parse(body!) as object);
    expect(asked).toHaveLength(3);
    expect(asked[0]).toMatchObject({ max_completion_tokens: 9 });
    for (const body of asked.slice(1)) {
      expect(body).toMatchObject({ max_tokens: 9, stream_options: { include_usage: true } });
      expect(body).not.toHaveProperty('max_completion_tokens');
    }
  });

  describe('top_k and min_p', () => {
    const sampled = { messages: [], top_k: 40, min_p: 0.1 };
    const translated = { ...sampled, [EXTENSIONS]: {} };
    const ask = async (asked: ChatRequest) => {
      const answer = lastValueFrom(sut.stream('text', asked, { connectMs: 5, observer }));
      return answer.catch((error: unknown) => (error as Error).message);
    };
    const sent = () =>
      request.mock.calls.map(([, { body }]) => {
        const { top_k, min_p } = JSON.parse(body!) as ChatRequest;
        return { top_k, min_p };
      });

    it.each([
      { message: 'Unrecognized request argument supplied: top_k' },
      { message: "Unknown parameter: 'top_k'.", param: 'top_k', code: 'unknown_parameter' },
      { message: JSON.stringify([{ type: 'extra_forbidden', loc: ['body', 'top_k'] }]) },
      { message: "property 'top_k' is unsupported" },
      { message: 'This model does not support top_k.' },
      { message: "got an unexpected keyword argument 'top_k'" },
    ])('should be left out where they come from another API and %j', async (error) => {
      request.mockResolvedValueOnce(refusal(error));
      request.mockImplementation(() =>
        Promise.resolve(upstreamResponse(200, '', { 'content-type': 'text/event-stream' })),
      );
      await ask(translated);
      await ask(translated);
      await ask(sampled);
      const { top_k, min_p } = sampled;
      expect(sent()).toEqual([{ top_k, min_p }, { min_p }, { min_p }, { top_k, min_p }]);
    });

    it.each([
      ["a caller of OpenAI's API sent them", sampled, "Unknown parameter: 'top_k'."],
      ['their value is wrong', translated, 'top_k must be at least 1.'],
    ])('should stay where %s', async (_, asked, message) => {
      request.mockResolvedValue(refusal({ message, param: 'top_k' }));
      expect(await ask(asked)).toBe(message);
      expect(sent()).toHaveLength(1);
    });
  });

  it('should keep the token of a refused request out of its words, also when there is a new one', async () => {
    tokens.mockResolvedValueOnce('first-token');
    request.mockImplementationOnce(async () => {
      await expect(lastValueFrom(stream())).rejects.toThrow();
      return refusal({ message: 'bad first-token' });
    });
    await expect(lastValueFrom(stream())).rejects.toMatchObject({ message: 'bad ***' });
    expect(request.mock.calls[1]![1].headers).toMatchObject({ authorization: 'Bearer token' });
  });

  it('should send nothing for somebody who left while there was a token to wait for', async () => {
    const subscription = stream().subscribe();
    subscription.unsubscribe();
    await new Promise(setImmediate);
    expect(tokens).toHaveBeenCalledTimes(1);
    expect(request).not.toHaveBeenCalled();
  });
});
