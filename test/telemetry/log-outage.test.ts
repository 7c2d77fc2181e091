import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from '../support/free-port.js';
import { startInstance, type Instance } from '../support/instances.js';
import { ask, eventsOf, textOfEvents } from '../support/runs.js';
import { startUpstream, textOf, type Upstream } from '../support/upstream/index.js';

/** An instance may have to be built first. */
const START_MS = 120_000;

/** Longer than lines wait for others. */
const WRITTEN_MS = 300;

/** A disk without room. */
const FULL = '/dev/full';

/** Of a pipe on Linux, in bytes. */
const PIPE_SIZE = 65_536;

describe('a log that nobody takes', () => {
  let directory: string;
  let upstream: Upstream;
  let log: number;
  let sut: Instance | undefined;

  beforeAll(async () => {
    upstream = await startUpstream();
  });
  afterAll(() => upstream.close());

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'sluice-'));
  });
  afterEach(async () => {
    await sut?.kill();
    closeSync(log);
    rmSync(directory, { recursive: true });
  });

  const cases: [string, () => number, string][] = [
    ['as its reader stalls', openFullPipe, ''],
    // Not every system has such a device.
    ...[FULL]
      .filter(existsSync)
      .map((full): [string, () => number, string] => [
        'as its disk is full',
        () => openSync(full, 'w'),
        "The log can't be written: ENOSPC: no space left on device, write\n",
      ]),
  ];

  function openFullPipe(): number {
    const path = join(directory, 'log');
    execFileSync('mkfifo', [path]);
    const pipe = openSync(path, 'r+');
    writeSync(pipe, Buffer.alloc(PIPE_SIZE));
    return pipe;
  }

  it.each(cases)(
    '%s costs no stream, and does not keep the process from ending',
    async (_, openLog, said) => {
      log = openLog();
      const env = {
        PORT: await freePort(),
        OPENAI_BASE_URL: `${upstream.url}/v1`,
        SHUTDOWN_DELAY_MS: 0,
        SHUTDOWN_DRAIN_MS: 100,
      };
      sut = await startInstance(env, log);
      for (let request = 0; request < 2; request += 1) {
        const call = ask(sut.port, 'text_tokens-5');
        expect(await call.ended).toBe('complete');
        expect(textOfEvents(eventsOf(call))).toBe(textOf(5));
        await sleep(WRITTEN_MS);
      }
      const exited = once(sut.process, 'exit');
      sut.process.kill('SIGTERM');
      expect(await exited).toEqual([0, null]);
      expect(sut.output()).toBe(said);
    },
    START_MS,
  );
});
