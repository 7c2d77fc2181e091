import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { promisify } from 'node:util';
import { startApp, type RunningApp } from '../support/app.js';
import { buildCli, startCli, type CliOptions } from '../support/cli.js';
import { eventually } from '../support/eventually.js';
import { startProxy, type Proxy } from '../support/proxy.js';
import { NASTY, startUpstream, textOf, type Upstream } from '../support/upstream/index.js';

let upstream: Upstream;
let server: RunningApp;
let proxy: Proxy;

beforeAll(async () => {
  buildCli();
  upstream = await startUpstream();
  server = await startApp({ OPENAI_BASE_URL: `${upstream.url}/v1`, DEMO: 'on' });
}, 120_000);
beforeEach(async () => {
  proxy = await startProxy(server.port);
});
afterEach(async () => {
  await proxy.close();
  upstream.reset();
});
afterAll(async () => {
  await server.close();
  await upstream.close();
});

function chat(args: string[], options?: CliOptions) {
  return startCli(['chat', '--url', proxy.url, ...args], options);
}

/** What upstream was asked: there may be a run of an earlier test that goes on in its grace. */
function requestFor(model: string) {
  return upstream.requests.find((request) => request.model === model)!;
}

describe('sluice chat', () => {
  it('types an answer out as it comes, and nothing else', async () => {
    const cli = chat(['--model', 'text_tokens-40_ms-50', 'hi']);
    await cli.until('Grüße');
    expect(upstream.requests[0]!.finished).toBe(false);
    expect(await cli.exited).toBe(0);
    expect(cli.out).toBe(`${textOf(40)}\n`);
    expect(cli.err).toBe('');
  });

  it('sends its options along', async () => {
    const cli = chat(['-m', 'text', '-s', 'Be brief.', '--max-tokens', '50', 'how', 'are you']);
    expect(await cli.exited).toBe(0);
    expect(upstream.requests[0]!.body).toMatchObject({
      model: 'text',
      max_completion_tokens: 50,
      messages: [
        { role: 'system', content: 'Be brief.' },
        { role: 'user', content: 'how are you' },
      ],
    });
  });

  it.each([
    ['alone', [], 'two\nlines'],
    ['in place of a dash', ['Sum up:', '-'], 'Sum up: two\nlines'],
  ])('reads the prompt from the standard input, %s', async (_name, words, prompt) => {
    const cli = chat(['-m', 'text', ...words], { input: 'two\nlines\n' });
    expect(await cli.exited).toBe(0);
    expect(upstream.requests[0]!.body.messages).toEqual([{ role: 'user', content: prompt }]);
  });

  it('keeps characters whole that come in two events', async () => {
    const cli = chat(['-m', 'nasty', 'hi']);
    expect(await cli.exited).toBe(0);
    // One half of a character stays alone: as bytes it is U+FFFD.
    expect(cli.out).toBe(`${Buffer.from(NASTY).toString()}\n`);
  });

  it('says beside the text what the model calls', async () => {
    const cli = chat(['-m', 'demo/tools', 'hi']);
    expect(await cli.exited).toBe(0);
    expect([cli.out, cli.err]).toEqual(['', 'The model calls get_weather.\n']);
  });

  it('prints every event as a line of JSON', async () => {
    const cli = chat(['--json', '-m', 'reasoning', 'hi']);
    expect(await cli.exited).toBe(0);
    const events = cli.out
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { event: string; id: string; data: object });
    const names = [...new Set(events.map(({ event }) => event))];
    expect(names).toEqual(['start', 'reasoning', 'message', 'done']);
    expect(events.map(({ id }) => Number(id.split(':')[1]))).toEqual(events.map((_, at) => at + 1));
    expect(events.at(-1)!.data).toMatchObject({ finish_reason: 'stop' });
  });

  it('resumes by itself on lost connections, without a lost letter or a second generation', async () => {
    proxy.cutNextAfter(900, 1_300, 'id: ');
    const cli = chat(['-m', 'text_tokens-60_ms-30', 'hi']);
    expect(await cli.exited).toBe(0);
    expect(cli.out).toBe(`${textOf(60)}\n`);
    expect(cli.err).toContain('The connection is lost. Resuming …\nBack again.\n');
    expect(proxy.connections).toBeGreaterThan(2);
    expect(upstream.requests).toHaveLength(1);
  });

  it.each([
    ['before the head', 0],
    ['before the first event', 'event: sta'],
  ])('finds its run again when the connection is lost %s', async (_name, limit) => {
    proxy.cutNextAfter(limit);
    const cli = chat(['-m', 'text_tokens-20_wait-300', 'hi']);
    expect(await cli.exited).toBe(0);
    expect(cli.out).toBe(`${textOf(20)}\n`);
    expect(upstream.requests).toHaveLength(1);
  });
});

describe('Ctrl-C in sluice chat', () => {
  it('stops the generation upstream and says what was generated', async () => {
    const cli = chat(['-m', 'text_tokens-2000_ms-20', 'hi']);
    await cli.until('Grüße');
    cli.child.kill('SIGINT');
    expect(await cli.exited).toBe(130);
    await eventually(() => expect(requestFor('text_tokens-2000_ms-20').closedEarly).toBe(true));
    expect(cli.err).toMatch(
      /^Stopped after about \d+ tokens\. The rest, however long, was not generated\.\n$/,
    );
  });

  it('says how many tokens that saved at the most, where there is a limit', async () => {
    const cli = chat(['-m', 'text_tokens-2000_ms-20', '--max-tokens', '5000', 'hi']);
    await cli.until('Grüße');
    cli.child.kill('SIGINT');
    expect(await cli.exited).toBe(130);
    const [, generated, saved] =
      /^Stopped after about (\d+) tokens\. That saved up to (\d+) tokens/.exec(cli.err) ?? [];
    expect(Number(generated) + Number(saved)).toBe(5_000);
  });

  it('stops it while the model has said nothing yet', async () => {
    const cli = chat(['-m', 'text_tokens-2000_ms-20_wait-1500', 'hi']);
    const request = await upstream.next(({ model }) => model.endsWith('_wait-1500'));
    cli.child.kill('SIGINT');
    await eventually(() => expect(cli.err).toBe('Stopping …\n'));
    expect(request.closedEarly).toBe(false);
    expect(await cli.exited).toBe(130);
    await eventually(() => expect(request.closedEarly).toBe(true));
    expect(cli.out).toBe('');
  });

  it('is an interruption, though the model was faster', async () => {
    // Its token and its end come in one piece: nothing is left to be stopped once the run has a name.
    upstream.script('at-once', async (exchange) => {
      await exchange.sleep(700);
      exchange.role();
      exchange.text('Hi');
      exchange.complete();
    });
    const cli = chat(['-m', 'at-once', 'hi']);
    await upstream.next(({ model }) => model === 'at-once');
    cli.child.kill('SIGINT');
    expect(await cli.exited).toBe(130);
    expect([cli.out, cli.err]).toEqual([
      '',
      'Stopping …\nStopped, but all of the answer had been generated.\n',
    ]);
  });

  it('leaves at once the second time', async () => {
    const cli = chat(['-m', 'wait-first', 'hi']);
    await upstream.next();
    cli.child.kill('SIGINT');
    // Two signals at once would be one.
    setTimeout(() => cli.child.kill('SIGINT'), 200);
    expect(await cli.exited).toBe(130);
    expect(cli.err).toBe('Stopping …\nLeft. The server stops by itself within 30 seconds.\n');
  });

  it('does the same at SIGTERM', async () => {
    const cli = chat(['-m', 'text_tokens-2000_ms-20', 'hi']);
    await cli.until('Grüße');
    cli.child.kill('SIGTERM');
    expect(await cli.exited).toBe(143);
    await eventually(() => expect(requestFor('text_tokens-2000_ms-20').closedEarly).toBe(true));
  });
});

it('says nothing when nobody reads the end of an answer', async () => {
  const cli = chat(['-m', 'text_tokens-300', 'hi']);
  cli.child.stdout!.destroy();
  expect(await cli.exited).toBe(141);
  expect(cli.err).toBe('');
});

it('stops the generation when nobody reads on, without a word', async () => {
  const cli = chat(['-m', 'text_tokens-2000_ms-20', 'hi']);
  await cli.until('Grüße');
  cli.child.stdout!.destroy();
  expect(await cli.exited).toBe(141);
  await eventually(() => expect(requestFor('text_tokens-2000_ms-20').closedEarly).toBe(true));
  expect(cli.err).toBe('');
});

(existsSync('/dev/full') ? it : it.skip)('says that the answer can not be written', async () => {
  const command = `exec "$0" bin/sluice.js chat --url ${proxy.url} -m text_tokens-2000_ms-20 hi > /dev/full`;
  const ended = promisify(execFile)('sh', ['-c', command, process.execPath]);
  const stderr = "The answer can't be written: ENOSPC: no space left on device, write.\n";
  await expect(ended).rejects.toMatchObject({ code: 1, stderr });
  await eventually(() => expect(requestFor('text_tokens-2000_ms-20').closedEarly).toBe(true));
});

describe('a failure in sluice chat', () => {
  it('is told on the standard error, with exit code 1', async () => {
    const cli = chat(['-m', 'status-401', 'hi']);
    expect(await cli.exited).toBe(1);
    expect(cli.out).toBe('');
    expect(cli.err).toMatch(/^The provider .* \(provider_auth\)\n$/);
  });

  it('says when to try again', async () => {
    const cli = chat(['-m', 'demo/rate-limit', 'hi']);
    expect(await cli.exited).toBe(1);
    expect(cli.err).toMatch(/\(provider_rate_limited\) Try again in 7 s\.\n$/);
  });

  it('leaves the text so far', async () => {
    const cli = chat(['-m', 'error-mid', 'hi']);
    expect(await cli.exited).toBe(1);
    expect(cli.out).toBe(`${textOf(3)}\n`);
    expect(cli.err).toMatch(/\(provider_error\)/);
  });

  it('of the connection names the server', async () => {
    const { port } = proxy;
    await proxy.close();
    const cli = startCli(['chat', '--url', `127.0.0.1:${port}`, 'hi']);
    expect(await cli.exited).toBe(1);
    expect(cli.err).toMatch(`Nothing answers at http://127.0.0.1:${port}.`);
    proxy = await startProxy(server.port);
  });

  it('of a server that is no Sluice says so', async () => {
    const cli = startCli(['chat', '--url', upstream.url, 'hi']);
    expect(await cli.exited).toBe(1);
    expect(cli.out).toBe('');
    expect(cli.err).not.toBe('');
  });

  it.each([
    ['an unknown option', ['chat', '--nonsense', 'hi']],
    ['an unknown command', ['nonsense']],
    ['an empty prompt', ['chat', '']],
    ['a URL that is none', ['chat', '--url', 'http://:', 'hi']],
    ['a URL of something else', ['chat', '--url', 'ftp://localhost', 'hi']],
    ['a URL with a password', ['chat', '--url', 'http://me:secret@localhost', 'hi']],
    ['a URL that is none with a password', ['chat', '--url', 'http://me:secret@:', 'hi']],
    ['a path with a password to measure', ['doctor', 'me:secret@localhost']],
    ['a key that can not be sent', ['chat', '--key', 'wröng☃', 'hi']],
    ['a number that is none', ['chat', '--max-tokens', 'many', 'hi']],
  ])('to say what is wanted ends with 2: %s', async (_name, args) => {
    const cli = startCli(args);
    expect(await cli.exited).toBe(2);
    expect(cli.err).toMatch(/See sluice --help\.\n$/);
    expect(cli.err).not.toContain('secret');
  });
});

it('tells its version', async () => {
  const cli = startCli(['--version']);
  expect(await cli.exited).toBe(0);
  expect(cli.out).toMatch(/^\d+\.\d+\.\d+\n$/);
});

describe('a server with keys', () => {
  let guarded: RunningApp;

  beforeAll(async () => {
    guarded = await startApp({ OPENAI_BASE_URL: `${upstream.url}/v1`, API_KEYS: 'alice:sk-alice' });
  });
  afterAll(() => guarded.close());

  it.each([
    ['an option', ['--key', 'sk-alice'], {}],
    ['the environment', [], { SLUICE_API_KEY: 'sk-alice' }],
  ])('takes the key from %s', async (_name, args, env) => {
    const cli = startCli(['chat', '--url', guarded.url, '-m', 'text', ...args, 'hi'], { env });
    expect(await cli.exited).toBe(0);
  });

  it('is told from one that is away', async () => {
    const cli = startCli(['chat', '--url', guarded.url, 'hi']);
    expect(await cli.exited).toBe(1);
    expect(cli.err).toContain('--key or SLUICE_API_KEY');
  });
});
