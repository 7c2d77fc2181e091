import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { Refusal, type Server } from '../server.js';
import { Answer } from './answer.js';

const START = 'event: start\nid: run_1:1\ndata: {}\n\n';
const DONE = 'event: done\nid: run_1:2\ndata: {}\n\n';

const events = (text: string) => new Response(text, { headers: { 'sluice-run-id': 'run_1' } });
/** What a server answers a reconnect when it can't look the run up. */
const askAgain = () => new Response('retry: 2000\n\n');
const reset = () => Object.assign(new Error('reset'), { code: 'ECONNRESET' });
const badGateway = () => new Refusal(502, 'http_502', 'Bad gateway', true);

/** An answer whose requests are answered with these, the last of them for ever. */
async function read(...replies: (() => Response | Error)[]) {
  let asked = 0;
  const call = () => {
    const reply = replies[Math.min(asked, replies.length - 1)]!();
    asked += 1;
    return reply instanceof Error ? Promise.reject(reply) : Promise.resolve(reply);
  };
  const answer = new Answer({ call } as unknown as Server, { messages: [] }, () => undefined);
  const types: string[] = [];
  for await (const { type } of answer.events()) types.push(type);
  return types;
}

describe(Answer.name, () => {
  afterEach(() => void jest.restoreAllMocks());

  it('asks again through a bad gateway when the first request was lost: the run may go on', async () => {
    expect(await read(reset, badGateway, () => events(START + DONE))).toEqual(['start', 'done']);
  });

  it('takes a bad gateway at its word when nothing was asked before', async () => {
    await expect(read(badGateway)).rejects.toMatchObject({ code: 'http_502' });
  });

  it('goes on once the server finds the run again', async () => {
    const types = await read(
      () => events(START),
      askAgain,
      () => events(DONE),
    );
    expect(types).toEqual(['start', 'done']);
  });

  it('waits for an answer that takes its time, however often the connection is lost', async () => {
    let nowMs = 0;
    jest.spyOn(performance, 'now').mockImplementation(() => (nowMs += 20_000));
    const heartbeat = () => events(': ping\n\n');
    const types = await read(
      () => events(START),
      heartbeat,
      heartbeat,
      heartbeat,
      () => events(DONE),
    );
    expect(types).toEqual(['start', 'done']);
  });

  it.each([
    ['never finds the run again', askAgain, 'does not have the answer'],
    ['shows nothing more of it', () => events(''), 'breaks off'],
  ])('gives up on a server that %s', async (_what, reply, message) => {
    let nowMs = 0;
    jest.spyOn(performance, 'now').mockImplementation(() => (nowMs += 20_000));
    await expect(read(() => events(START), reply)).rejects.toThrow(message);
  });
});
