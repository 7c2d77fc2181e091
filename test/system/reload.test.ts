import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { createConfigFile, type TestConfigFile } from '../support/config-file.js';
import { eventually } from '../support/eventually.js';
import type { HttpCall } from '../support/http.js';
import { startInstance, type Instance } from '../support/instances.js';
import { ask, eventsOf, textOfEvents } from '../support/runs.js';
import { startUpstream, textOf, type Upstream } from '../support/upstream/index.js';

const STREAMS = 100;
const TOKENS = 40;
const SLOW = `text_tokens-${TOKENS}_ms-100`;

/** An instance may have to be built first. */
const START_MS = 120_000;

describe('SIGHUP', () => {
  let upstream: Upstream;
  let file: TestConfigFile;
  let sut: Instance;

  beforeAll(async () => {
    upstream = await startUpstream();
  });
  afterAll(() => upstream.close());

  beforeEach(async () => {
    file = await createConfigFile(sections({ targets: [`one/${SLOW}`] }));
    sut = await startInstance({ CONFIG_FILE: file.path, DEFAULT_MODEL: 'fast' });
  }, START_MS);
  afterEach(async () => {
    await sut.kill();
    upstream.reset();
    await file.remove();
  });

  /** One provider, under the name that the targets of the alias `fast` have. */
  function sections(fast: { targets: string[]; system_prompt?: string }) {
    const [name] = fast.targets[0]!.split('/') as [string];
    const provider = { type: 'openai', base_url: `${upstream.url}/${name}/v1`, models: ['text'] };
    return { providers: { [name]: provider }, models: { fast } };
  }

  /** Resolves when the file was read, or not taken, so many times. */
  async function hangUp(times: number) {
    sut.process.kill('SIGHUP');
    await eventually(() => expect(said()).toHaveLength(times), 10_000);
  }

  const said = () =>
    sut
      .log()
      .filter(({ context }) => context === 'ConfigFile')
      .map(({ level, msg }) => `${String(level)}: ${String(msg)}`);

  /** The path of the upstream request that a request for `fast` becomes, and its first message. */
  async function sentNow() {
    await ask(sut.port, 'fast', { body: { max_tokens: 1 } }).until('event: start', 10_000);
    const { path, body } = await upstream.next(({ body }) => body.max_tokens === 1);
    return { path, first: body.messages![0]!.content };
  }

  it(`changes an alias for new requests, and disturbs none of ${STREAMS} streams`, async () => {
    const calls = Array.from({ length: STREAMS }, () => ask(sut.port, 'fast'));
    await Promise.all(calls.map((call) => call.until('data: {"content"', 15_000)));

    await file.write(sections({ targets: ['two/text'], system_prompt: 'Be brief.' }));
    await hangUp(1);
    const { path, first } = await sentNow();
    expect({ path, first }).toEqual({ path: '/two/v1/chat/completions', first: 'Be brief.' });

    await file.write(sections({ targets: ['three/text'], system_prompt: '${NOT_SET}' }));
    await hangUp(2);
    expect((await sentNow()).path).toBe('/two/v1/chat/completions');
    expect(said()[0]).toBe(`info: ${file.path} is read anew.`);
    expect(said()[1]).toMatch(/^error: \S+ is not taken, and what was read before stays:\n/);
    expect(said()[1]).toContain(
      `${file.path}:11 models.fast.system_prompt: expected the environment to have NOT_SET`,
    );

    await Promise.all(calls.map((call) => expectWhole(call)));
    expect(upstream.requests.filter(({ model }) => model === SLOW)).toHaveLength(STREAMS);
    expect(upstream.closedEarly).toBe(0);
  }, 60_000);

  async function expectWhole(call: HttpCall) {
    expect(await call.ended).toBe('complete');
    const events = eventsOf(call);
    expect(textOfEvents(events)).toBe(textOf(TOKENS));
    expect(events.at(-1)?.event).toBe('done');
  }

  it('does not take a file without the default model', async () => {
    await file.write({ ...sections({ targets: ['one/text'] }), models: {} });
    await hangUp(1);
    expect(said()[0]).toContain('DEFAULT_MODEL: expected its alias or provider to stay in ');
  });

  it(
    'does not keep the instance from ending by SIGTERM',
    async () => {
      await hangUp(1);
      sut.process.kill('SIGTERM');
      expect((await once(sut.process, 'exit'))[0]).toBe(0);
    },
    START_MS,
  );
});

describe('SIGHUP during the start', () => {
  /** Runs in the directory of the file, and hangs up while the instance is being loaded. */
  function hangingUp(file: TestConfigFile) {
    const script =
      `process.chdir(${JSON.stringify(dirname(file.path))});` +
      'setTimeout(()=>process.kill(process.pid,"SIGHUP"),200)';
    return { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(script)}` };
  }

  let file: TestConfigFile;
  beforeEach(async () => {
    file = await createConfigFile({});
  });
  afterEach(() => file.remove());

  it.each([
    ['the environment', (path: string) => ({ CONFIG_FILE: path })],
    ['.env', () => ({ NODE_ENV: 'production' })],
  ])(
    'has the instance read the file that %s names, and does not end it',
    async (_, env) => {
      await writeFile(join(dirname(file.path), '.env'), `CONFIG_FILE=${file.path}\n`);
      const sut = await startInstance({ ...hangingUp(file), ...env(file.path) });
      await eventually(() => expect(sut.output()).toContain(`${file.path} is read anew.`));
      expect(sut.process.signalCode).toBe(null);
      await sut.kill();
    },
    START_MS,
  );

  it(
    'ends the instance without a file, once it knows',
    async () => {
      const sut = await startInstance({ ...hangingUp(file), SHUTDOWN_DELAY_MS: 0 });
      await eventually(() => expect(sut.process.exitCode).toBe(0), 5_000);
    },
    START_MS,
  );
});

describe('SIGHUP without a configuration file', () => {
  it(
    'ends the instance in order, as a closed terminal should',
    async () => {
      const sut = await startInstance({ SHUTDOWN_DELAY_MS: 0 });
      sut.process.kill('SIGHUP');
      expect((await once(sut.process, 'exit'))[0]).toBe(0);
    },
    START_MS,
  );
});
