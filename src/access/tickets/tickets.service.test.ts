import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import type { Request } from 'express';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseEnvironment } from '../../config/config.js';
import type { ConfigFile } from '../../config/file/config-file.js';
import { fileSchema } from '../../config/file/file.schema.js';
import { settle } from '../../config/settings.js';
import type { Access } from '../access.service.js';
import type { Caller } from '../caller.js';
import { MemoryTicketStore } from './memory.ticket-store.js';
import { ticketOf, Tickets } from './tickets.service.js';

const CALLER: Caller = { owner: 'key:ann', name: 'ann', source: 'key', credential: 'c' };
const HOUR = { total_ms: 60 * 60_000 };
const NARROWED: Caller = { ...CALLER, models: ['fast'] };

describe(Tickets.name, () => {
  let sut: Tickets;
  let current: Caller | undefined;

  /** @param sections of the configuration file */
  function create(totalTimeoutMs: number, retentionSeconds: number, sections = {}): Tickets {
    const access = { current: () => current } as Partial<Access> as Access;
    const config = parseEnvironment({
      TOTAL_TIMEOUT_MS: String(totalTimeoutMs),
      RUN_RETENTION_SECONDS: String(retentionSeconds),
    });
    const file = { current: settle(config, fileSchema.parse(sections)) } as ConfigFile;
    return new Tickets(access, file, new MemoryTicketStore(), config);
  }

  beforeEach(() => {
    jest.useFakeTimers();
    current = CALLER;
    sut = create(600_000, 600);
  });
  afterEach(() => {
    jest.useRealTimers();
  });

  /** Comes with a ticket. */
  async function redeem(ticket: string) {
    const request = {} as Request;
    await sut.redeem(ticket, request);
    return ticketOf(request)!;
  }

  const REFUSAL = { code: 'invalid_api_key', message: 'The ticket is wrong or has expired.' };

  it('should let in for sixty seconds', async () => {
    const { ticket } = await sut.issue(CALLER);
    jest.advanceTimersByTime(59_900);
    expect(await redeem(ticket)).toMatchObject({ caller: CALLER, runId: undefined });
    jest.advanceTimersByTime(200);
    await expect(redeem(ticket)).rejects.toMatchObject(REFUSAL);
  });

  it('should let in for as long as its run can be viewed, and anew with every use', async () => {
    const { ticket } = await sut.issue(CALLER);
    await sut.bind(await redeem(ticket), 'run_1');
    for (let use = 0; use < 3; use += 1) {
      jest.advanceTimersByTime(20 * 60_000);
      const again = await redeem(ticket);
      expect(again.runId).toBe('run_1');
      await sut.bind(again, 'run_1');
    }
    jest.advanceTimersByTime(22 * 60_000);
    await expect(redeem(ticket)).rejects.toMatchObject(REFUSAL);
  });

  it.each([
    ['a provider', { providers: { slow: { type: 'ollama', models: ['m'], timeouts: HOUR } } }],
    ['an alias', { models: { slow: { targets: ['demo'], timeouts: HOUR } } }],
  ])('should let in for as long as a run by %s can go on and be viewed', async (_, sections) => {
    sut = create(600_000, 600, sections);
    const { ticket } = await sut.issue(CALLER);
    await sut.bind(await redeem(ticket), 'run_1');
    jest.advanceTimersByTime(70 * 60_000);
    expect((await redeem(ticket)).runId).toBe('run_1');
    jest.advanceTimersByTime(2 * 60_000);
    await expect(redeem(ticket)).rejects.toMatchObject(REFUSAL);
  });

  it('should tell a run that it started from one that it views', async () => {
    const { ticket } = await sut.issue(CALLER);
    await sut.bind({ ...(await redeem(ticket)), hasStarted: true }, 'run_1');
    await sut.bind(await redeem(ticket), 'run_1');
    expect((await redeem(ticket)).hasStarted).toBe(true);
    const { ticket: other } = await sut.issue(CALLER);
    await sut.bind(await redeem(other), 'run_1');
    expect((await redeem(other)).hasStarted).toBeUndefined();
  });

  it('should let in for as long as there are timers for, where that is longer', async () => {
    jest.useRealTimers();
    sut = create(2_147_483_647, 2_147_483);
    const { ticket } = await sut.issue(CALLER);
    await sut.bind(await redeem(ticket), 'run_1');
    await sleep(20);
    expect((await redeem(ticket)).runId).toBe('run_1');
  });

  it('should let in for what its owner may now', async () => {
    const { ticket } = await sut.issue(CALLER);
    current = NARROWED;
    expect((await redeem(ticket)).caller).toEqual(NARROWED);
    current = undefined;
    await expect(redeem(ticket)).rejects.toMatchObject(REFUSAL);
  });

  it('should make every ticket another one', async () => {
    const issued = await Promise.all(Array.from({ length: 100 }, () => sut.issue(CALLER)));
    expect(new Set(issued.map(({ ticket }) => ticket)).size).toBe(100);
  });
});
