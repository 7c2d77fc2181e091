import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { ApiError, type Api } from './public/api.js';
import { RunStream } from './public/run-stream.js';

type Reply = Response | Error;

const EVENTS = [
  'event: start\nid: run_1:1\ndata: {}\n\n',
  'event: done\nid: run_1:2\ndata: {}\n\n',
];

interface Circumstances {
  policy?: string;
  sentAt?: number;
  isStopping?: boolean;
  whenOn?: Promise<void>;
}

/** What a server answers that shows a run. */
function events(...blocks: string[]) {
  return new Response(blocks.join(''), { headers: { 'Sluice-Run-Id': 'run_1' } });
}

/** What it answers a reconnect when it can't look the run up. */
function askAgain() {
  return new Response('retry: 2000\n\n');
}

describe(RunStream.name, () => {
  let nowMs: number;
  beforeEach(() => {
    nowMs = 0;
    jest.spyOn(performance, 'now').mockImplementation(() => nowMs);
  });
  afterEach(() => void jest.restoreAllMocks());

  /** A run whose requests are answered with these, the last of them for ever. */
  function follow(...replies: (() => Reply)[]) {
    return open({}, ...replies);
  }

  /** The same after a reload, or with its network off. */
  function open(
    { policy = 'continue', sentAt = 0, isStopping = false, whenOn }: Circumstances,
    ...replies: (() => Reply)[]
  ) {
    const asked: string[] = [];
    const types: string[] = [];
    const reply = (path: string) => {
      const make = replies[Math.min(asked.length, replies.length - 1)]!;
      asked.push(path);
      const answer = make();
      return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer);
    };
    const network = {
      isOn: whenOn === undefined,
      whenOn: async () => {
        await whenOn;
        network.isOn = true;
      },
      wait: (ms: number) => Promise.resolve((nowMs += ms)),
    };
    const api = {
      network,
      start: () => reply('start'),
      events: () => reply('events'),
      cancel: (runId: string) => Promise.resolve(asked.push(`cancel ${runId}`)),
    };
    const sut = new RunStream({
      api: api as unknown as Api,
      request: { messages: [] },
      policy,
      cursor: { idempotencyKey: 'key', sentAt, runId: '', lastEventId: '' },
      isStopping,
      onEvent: ({ type }) => types.push(type),
      onConnection: () => undefined,
    });
    return { sut, ended: sut.follow(), asked, types };
  }

  const cut = () => new TypeError('Failed to fetch');
  const badGateway = () => new ApiError('http', 'The answer had the status 502.', { status: 502 });

  it('asks again through a bad gateway when the first connection broke: the run may go on', async () => {
    const { ended, asked, types } = follow(cut, badGateway, () => events(...EVENTS));
    await ended;
    expect(asked).toEqual(['start', 'start', 'start']);
    expect(types).toEqual(['start', 'done']);
  });

  it('takes a bad gateway at its word when nothing was asked before', async () => {
    const { ended, asked } = follow(badGateway);
    await expect(ended).rejects.toMatchObject({ code: 'http' });
    expect(asked).toHaveLength(1);
  });

  it('takes it for the end when there is nothing after what it has seen', async () => {
    const { ended, asked } = follow(
      () => events(EVENTS[0]!),
      () => new Response(null, { status: 204 }),
    );
    await ended;
    expect(asked).toEqual(['start', 'events']);
  });

  it("takes the server's own refusal at its word", async () => {
    const refusal = () => new ApiError('provider_unavailable', 'down', { status: 502 });
    const { ended } = follow(cut, refusal);
    await expect(ended).rejects.toMatchObject({ code: 'provider_unavailable' });
  });

  it('goes on once the server finds the run again', async () => {
    const { ended, types } = follow(
      () => events(EVENTS[0]!),
      askAgain,
      () => events(EVENTS[1]!),
    );
    await ended;
    expect(types).toEqual(['start', 'done']);
  });

  it('gives up on a server that never finds the run again, and says why', async () => {
    const { ended } = follow(() => events(EVENTS[0]!), askAgain);
    await expect(ended).rejects.toMatchObject({ code: 'store_unavailable' });
  });

  it('sends nothing that was stopped while the network was off', async () => {
    let switchOn: () => void = () => undefined;
    const whenOn = new Promise<void>((resolve) => (switchOn = resolve));
    const { sut, ended, asked } = open({ whenOn }, () => events(...EVENTS));
    await sut.stop();
    switchOn();
    await ended;
    expect(asked).toEqual([]);
  });

  it('begins no second run where the first one was stopped with its connection', async () => {
    const { ended, asked } = open({ policy: 'cancel' }, cut);
    await expect(ended).rejects.toMatchObject({ code: 'cancelled' });
    expect(asked).toEqual(['start']);
  });

  it('finds a run by its key to stop it, over a lost connection and after a reload', async () => {
    const circumstances = { isStopping: true, sentAt: Date.now() - 60_000 };
    const { ended, asked } = open(circumstances, cut, () => events(...EVENTS));
    await ended;
    expect(asked).toEqual(['start', 'start', 'cancel run_1']);
  });

  it('begins no run to stop it, when that may be forgotten by now', async () => {
    const circumstances = { isStopping: true, sentAt: Date.now() - 600_000 };
    const { ended, asked } = open(circumstances, () => events(...EVENTS));
    await ended;
    expect(asked).toEqual([]);
  });
});
