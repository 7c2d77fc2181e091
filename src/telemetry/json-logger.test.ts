import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { JsonLogger } from './json-logger.js';
import { LineWriter } from './line.writer.js';

describe(JsonLogger.name, () => {
  afterEach(() => {
    jest.restoreAllMocks();
  });

  it("tells errors by their own types, and a code with the system's word", () => {
    const write = jest.spyOn(LineWriter.prototype, 'write').mockImplementation(() => undefined);
    const sut = new JsonLogger();
    sut.setLogLevels(['error']);
    const cause = Object.assign(new RangeError('too far'), { code: 'EFAR' });
    sut.error(new TypeError('no', { cause }), 'Here');
    expect(JSON.parse(write.mock.calls[0]![0])).toMatchObject({
      context: 'Here',
      msg: 'no',
      err: { type: 'TypeError', cause: { type: 'RangeError', code: 'EFAR' } },
    });
  });
});
