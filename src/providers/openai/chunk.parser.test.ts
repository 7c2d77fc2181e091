import { describe, expect, it } from '@jest/globals';
import { Subscriber } from 'rxjs';
import { ChatError } from '../../errors/chat-error.js';
import type { Frame } from '../chat-provider.js';
import { chunkParser } from './chunk.parser.js';

const CHUNK = '{"id":"chatcmpl-1","choices":[{"index":0,"delta":{"content":"や"}}]}';

/** Parses lines until one ends the stream. */
function parse(...lines: string[]) {
  const frames: Frame[] = [];
  const parser = chunkParser(new Subscriber<Frame>({ next: (frame) => frames.push(frame) }));
  const ended = lines.some((line) => parser(line));
  return { json: frames.map((frame) => frame.json), frames, ended };
}

function failure(...lines: string[]): ChatError {
  try {
    parse(...lines);
  } catch (error) {
    return error as ChatError;
  }
  throw new Error('the lines were taken');
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

  it('joins the data lines of one event', () => {
    expect(parse('data: {"id":', 'data: "1"}', '').json).toEqual(['{"id":\n"1"}']);
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
    const error = failure(`data: ${data}`, '');
    expect(error).toBeInstanceOf(ChatError);
    expect(error.code).toBe('provider_malformed');
    expect(error.message).toBe('The provider sent a chunk that is not a JSON object.');
  });

  it('throws an error in the stream as provider_error, with what upstream said of it', () => {
    const error = failure(
      'data: {"error":{"message":"overloaded","type":"server_error","code":529,"param":null}}',
      '',
    );
    expect(error.code).toBe('provider_error');
    expect(error.body).toEqual({
      message: 'overloaded',
      type: 'server_error',
      code: '529',
      param: null,
    });
  });

  it('takes an error that is only a text', () => {
    expect(failure('data: {"error":"overloaded"}', '').message).toBe('overloaded');
  });
});
