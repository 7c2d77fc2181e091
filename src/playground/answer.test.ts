import { describe, expect, it } from '@jest/globals';
import { applyEvent, newAnswer } from './public/answer.js';

function answer() {
  return newAnswer({ model: '', policy: 'cancel', system: '' });
}

function event(type: string, data: object) {
  return { type, id: 'run_1:1', data: JSON.stringify(data) };
}

describe(applyEvent.name, () => {
  it.each([
    ['done', { finish_reason: 'stop' }],
    ['error', { code: 'provider_error', message: 'broke off' }],
  ])('leaves what was stopped as it is when %s was faster, but for its usage', (type, data) => {
    const sut = answer();
    applyEvent(sut, event('message', { content: 'Hel' }));
    sut.status = 'stopped';
    applyEvent(sut, event('message', { content: 'lo' }));
    applyEvent(sut, event(type, { ...data, usage: { completion_tokens: 2 } }));
    expect(sut).toMatchObject({ status: 'stopped', text: 'Hel', usage: { completion_tokens: 2 } });
    expect(sut).not.toHaveProperty('finishReason');
    expect(sut).not.toHaveProperty('failure');
  });

  it('lists calls of tools however they are numbered', () => {
    const sut = answer();
    for (const index of [1, 4_000_000_000]) {
      applyEvent(sut, event('tool_call', { index, name: `tool${index}`, arguments: '' }));
      applyEvent(sut, event('tool_call', { index, arguments: '{}' }));
    }
    expect(sut.toolCalls.map(({ name, arguments: json }) => [name, json])).toEqual([
      ['tool1', '{}'],
      ['tool4000000000', '{}'],
    ]);
  });
});
