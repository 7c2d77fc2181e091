import { describe, expect, it } from '@jest/globals';
import { Observable } from 'rxjs';
import type { ChatError } from '../../errors/chat-error.js';
import type { Frame } from '../chat-provider.js';
import { chunkParser } from './chunk.parser.js';

const CHUNK = '{"id":"chatcmpl-1","choices":[{"index":0,"delta":{"content":"や"}}]}';

const MAX_LENGTH = 200;

/** Parses lines until one ends or fails the stream. */
function parse(...lines: string[]) {
  return parseUpTo(MAX_LENGTH, ...lines);
}

function parseUpTo(maxLength: number, ...lines: string[]) {
  const frames: Frame[] = [];
  let ended = false;
  let error: ChatError | undefined;
  new Observable<Frame>((subscriber) => {
    const parser = chunkParser(subscriber, maxLength, 'sk-123456789');
    ended = lines.some((line) => parser(line));
  }).subscribe({
    next: (frame) => frames.push(frame),
    error: (thrown: unknown) => (error = thrown as ChatError),
  });
  return { frames, json: frames.map((frame) => frame.json), ended, error };
}

describe(chunkParser.name, () => {
  it('gives a chunk parsed and as upstream wrote it', () => {
    const { frames, ended } = parse(`data: ${CHUNK}`, '');
    expect(frames).toEqual([{ chunk: JSON.parse(CHUNK) as unknown, json: CHUNK }]);
    expect(ended).toBe(false);
  });

  it('takes data without a space, and no more than one space away', () => {
    expect(parse(`data:${CHUNK}`, '').json).toEqual([CHUNK]);
    expect(parse(`data:  ${CHUNK}`, '').json).toEqual([` ${CHUNK}`]);
  });

  it('joins the data lines of one event, in one line', () => {
    expect(parse('data: {"id":', 'data: "1"}', '').json).toEqual(['{"id": "1"}']);
  });

  it('overlooks comments, other fields and empty events', () => {
    const lines = [': ping', '', 'event: message', 'id: 1', 'retry: 5', '', 'data:', ''];
    expect(parse(...lines, `data: ${CHUNK}`, '').json).toEqual([CHUNK]);
  });

  it('gives no event before its blank line', () => {
    expect(parse(`data: ${CHUNK}`).json).toEqual([]);
  });

  it('ends at [DONE]', () => {
    expect(parse('data: [DONE]', '').ended).toBe(true);
    expect(parse('data: [DONE] ', '').ended).toBe(true);
  });

  it.each(['{"id":', 'null', '"text"', '7', '<html>'])('refuses %s without quoting it', (data) => {
    expect(parse(`data: ${data}`, '').error).toMatchObject({
      code: 'provider_malformed',
      message: 'The provider sent a chunk that is not a JSON object.',
    });
  });

  it.each([
    '{"choices":"text"}',
    '{"choices":[null]}',
    '{"choices":[{"delta":"text"}]}',
    '{"choices":[{"delta":{"tool_calls":{}}}]}',
    '{"choices":[{"delta":{"tool_calls":[null]}}]}',
    '{"choices":[[]]}',
    '{"choices":[{"delta":["text"]}]}',
  ])('refuses %s, of which nothing could be made', (data) => {
    expect(parse(`data: ${data}`, '').error).toMatchObject({ code: 'provider_malformed' });
  });

  it.each([
    (deep: string) => `{"choices":[{"delta":{"content":"a"}}],"x":${deep}}`,
    (deep: string) => `{"choices":[{"delta":{"audio":${deep}}}]}`,
    (deep: string) => `{"choices":[{"delta":{"content":[{"thinking":${deep}}]}}]}`,
    (deep: string) => `{"choices":[{"delta":{"function_call":{"arguments":${deep}}}}]}`,
    (deep: string) => `{"choices":[],"usage":{"prompt_tokens":1,"details":${deep}}}`,
  ])('refuses what is nested too deeply to be gone through: %s', (json) => {
    const nested = (levels: number) => json('['.repeat(levels) + ']'.repeat(levels));
    const read = (levels: number) => parseUpTo(100_000, `data: ${nested(levels)}`, '');
    for (const levels of [300, 6_000, 20_000]) {
      expect(read(levels).error).toMatchObject({
        code: 'provider_malformed',
        message: 'The provider sent a chunk nested too deeply.',
      });
    }
    expect(read(200).error?.message ?? '').not.toMatch(/deeply/);
  });

  it('throws an error in the stream as provider_error, in the words of upstream', () => {
    const { error } = parse(
      'data: {"error":{"message":"overloaded","type":"server_error","code":529,"param":null}}',
      '',
    );
    expect(error!.code).toBe('provider_error');
    expect(error!.body).toEqual({
      message: 'overloaded',
      type: 'server_error',
      code: 'provider_error',
      param: null,
    });
  });

  it('takes an error that is only a text', () => {
    expect(parse('data: {"error":"overloaded"}', '').error!.message).toBe('overloaded');
  });

  it.each([
    [
      'its object says so',
      ['data: {"object":"error","message":"CUDA out of memory","type":"InternalServerError"}'],
      'CUDA out of memory',
    ],
    [
      'its event names one',
      ['event: error', 'data: {"code":7,"message":"slow down"}'],
      'slow down',
    ],
    [
      'its event says so in a text',
      ['event:error', 'data: gone'],
      'The provider reported an error.',
    ],
  ])('takes an error that stands under no name where %s', (_, lines, message) => {
    const { error } = parse(`data: ${CHUNK}`, '', ...lines, '', 'data: [DONE]', '');
    expect(error).toMatchObject({ code: 'provider_error', message });
  });

  it('takes an event for an error that is like the chunks before it, and no other event', () => {
    const chunk = [`data: ${CHUNK}`, ''];
    expect(parse(...chunk, ...chunk, 'event: error', ...chunk).error!.code).toBe('provider_error');
    expect(parse('event: error', '', ...chunk).json).toEqual([CHUNK]);
    expect(parse('event: error', 'event: chunk', ...chunk).json).toEqual([CHUNK]);
  });

  it.each([
    '{"object":"error","choices":[]}',
    '{"object":"chat.completion.chunk","message":"hi"}',
    '{"error":null,"choices":[]}',
  ])('takes %s for a chunk', (json) => {
    expect(parse(`data: ${json}`, '').json).toEqual([json]);
  });

  it('repeats no key', () => {
    const { error } = parse('data: {"error":{"message":"No such key: sk-123456789."}}', '');
    expect(error!.message).toBe('No such key: ***.');
  });

  it('gives up an event of too many lines, at once', () => {
    const { error } = parse(...Array.from({ length: 30 }, () => 'data: 12345678'));
    expect(error!.code).toBe('provider_malformed');
  });
});
