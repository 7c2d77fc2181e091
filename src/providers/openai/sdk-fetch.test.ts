import { beforeEach, describe, expect, it, jest } from '@jest/globals';
import { OpenAI } from 'openai';
import type { ChatCompletionCreateParamsStreaming } from 'openai/resources/chat/completions';
import { HttpClient, type UpstreamRequest } from '../http/http-client.js';
import { SDK_OPTIONS } from './chat-completions.js';
import { sdkFetch, type SdkFetchOptions } from './sdk-fetch.js';

const body: ChatCompletionCreateParamsStreaming = { model: 'text', messages: [], stream: true };

describe(sdkFetch.name, () => {
  let sut: OpenAI;
  let controller: AbortController;
  let upstream: Pick<UpstreamRequest, 'signal' | 'connectMs' | 'observer'>;
  let request: jest.SpiedFunction<HttpClient['request']>;
  let getToken: () => string;

  beforeEach(() => {
    controller = new AbortController();
    const observer = { sending: jest.fn<() => never>() };
    upstream = { signal: controller.signal, connectMs: 5, observer };
    const http = new HttpClient();
    request = jest.spyOn(http, 'request').mockRejectedValue(new Error('sent'));
    getToken = () => 'token';
    sut = new OpenAI({
      ...SDK_OPTIONS,
      baseURL: 'http://provider.invalid',
      apiKey: () => Promise.resolve(getToken()),
      fetch: sdkFetch(http),
    });
  });

  async function send() {
    const fetchOptions: SdkFetchOptions = { upstream };
    await sut.chat.completions.create(body, { fetchOptions: fetchOptions as object });
  }

  it('should send a request with what it brought, and with its own signal', async () => {
    await expect(send()).rejects.toThrow('Connection error.');
    expect(request).toHaveBeenCalledTimes(1);
    const [url, sent] = request.mock.calls[0]!;
    expect(url).toBe('http://provider.invalid/chat/completions');
    expect(sent).toMatchObject({
      method: 'POST',
      headers: { authorization: 'Bearer token', 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    expect(sent.signal).toBe(upstream.signal);
    expect(sent).toMatchObject({ connectMs: 5, observer: upstream.observer });
  });

  it('should send nothing for somebody who left while the SDK waited for a token', async () => {
    getToken = () => {
      controller.abort();
      return 'token';
    };
    await expect(send()).rejects.toThrow();
    expect(request).not.toHaveBeenCalled();
  });
});
