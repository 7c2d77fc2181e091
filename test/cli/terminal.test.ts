import { afterAll, afterEach, beforeAll, expect, it } from '@jest/globals';
import { startApp, type RunningApp } from '../support/app.js';
import { buildCli, startCliAtTerminal } from '../support/cli.js';
import { eventually } from '../support/eventually.js';
import { describeWith } from '../support/programs.js';
import { REASONING_TOKENS, startUpstream, TEXT, type Upstream } from '../support/upstream/index.js';

const CTRL_C = '\u0003';
const CTRL_D = '\u0004';
/** Where readline leaves the cursor. */
const PROMPT = '> \u001b[3G';
const BELL = '\u0007';
/** What the terminal makes of a text: its lines end in CRLF. */
const shown = (text: string) => text.replaceAll('\n', '\r\n');

describeWith('script', 'sluice chat at a terminal', () => {
  let upstream: Upstream;
  let server: RunningApp;

  beforeAll(async () => {
    buildCli();
    upstream = await startUpstream();
    server = await startApp({ OPENAI_BASE_URL: `${upstream.url}/v1` });
  }, 120_000);
  afterEach(() => upstream.reset());
  afterAll(async () => {
    await server.close();
    await upstream.close();
  });

  function start(args: string[], env?: Record<string, string>) {
    return startCliAtTerminal(['chat', '--url', server.url, ...args], env);
  }

  /** The conversation that the upstream got last. */
  function lastMessages() {
    return upstream.requests.at(-1)!.body.messages!.map(({ content }) => content);
  }

  it('is a conversation when there is no prompt', async () => {
    const cli = start(['-m', 'text']);
    await cli.until(PROMPT);
    cli.type('first\r');
    await cli.until('16 tokens');
    await cli.until(PROMPT);
    cli.type('second\r');
    await cli.until('16 tokens');
    expect(lastMessages()).toEqual(['first', TEXT, 'second']);

    for (const command of ['/clear', '/system Be brief.', '/model text_tokens-2']) {
      await cli.until(PROMPT);
      cli.type(`${command}\r`);
    }
    await cli.until(PROMPT);
    cli.type('third\r');
    await cli.until('2 tokens');
    expect(lastMessages()).toEqual(['Be brief.', 'third']);

    await cli.until(PROMPT);
    cli.type('/exit\r');
    expect(await cli.exited).toBe(0);
  });

  it('goes on in the next line after a backslash, and takes a paste as one question', async () => {
    const cli = start(['-m', 'text_tokens-2']);
    await cli.until(PROMPT);
    cli.type('one \\\r');
    await cli.until('… ');
    cli.type('two\rthree\r');
    await cli.until('2 tokens');
    expect(lastMessages()).toEqual(['one \ntwo\nthree']);
    await cli.until(PROMPT);
    cli.type(CTRL_D);
    expect(await cli.exited).toBe(0);
  });

  it('stops an answer at Ctrl-C and goes on with what was said', async () => {
    const cli = start(['-m', 'text_tokens-2000_ms-20']);
    await cli.until(PROMPT);
    cli.type('go\r');
    await cli.until('Grüße');
    cli.type(CTRL_C);
    await cli.until('Stopped after about ');
    await eventually(() => expect(upstream.requests[0]!.closedEarly).toBe(true));
    await cli.until(PROMPT);
    cli.type('/model text_tokens-2\r');
    await cli.until(PROMPT);
    cli.type('again\r');
    await cli.until('2 tokens');
    const [question, answer, next] = lastMessages();
    expect([question, next]).toEqual(['go', 'again']);
    expect(answer).toMatch(/^Hello, Grüße/);

    await cli.until(PROMPT);
    cli.type(CTRL_C);
    await cli.until('Ctrl-C again leaves');
    await cli.until(PROMPT);
    cli.type(CTRL_C);
    expect(await cli.exited).toBe(0);
  });

  it('goes on after a failure, without what failed', async () => {
    const cli = start(['-m', 'error-mid']);
    await cli.until(PROMPT);
    cli.type('fails\r');
    await cli.until('provider_error');
    await cli.until(PROMPT);
    cli.type('/model text_tokens-2\r');
    await cli.until(PROMPT);
    cli.type('works\r');
    await cli.until('2 tokens');
    expect(lastMessages()).toEqual(['works']);
    await cli.until(PROMPT);
    cli.type(CTRL_D);
    await cli.exited;
  });

  it('dims the reasoning', async () => {
    const cli = start(['-m', 'reasoning', 'hi']);
    expect(await cli.exited).toBe(0);
    const reasoning = REASONING_TOKENS.map((token) => `\u001b[2m${token}\u001b[22m`).join('');
    expect(cli.out).toContain(`${reasoning}\r\n\r\n${shown(TEXT)}`);
  });

  it('has no colors with NO_COLOR', async () => {
    const cli = start(['-m', 'reasoning', 'hi'], { NO_COLOR: '1' });
    expect(await cli.exited).toBe(0);
    expect(cli.out).toContain(`${REASONING_TOKENS.join('')}\r\n\r\n${shown(TEXT)}`);
    expect(cli.out).not.toContain('\u001b');
  });

  it('lets no failure control the terminal', async () => {
    upstream.script('rude', (exchange) =>
      exchange.error(400, { message: `no\u001b]0;owned${BELL}`, code: 'rude' }),
    );
    const cli = start(['-m', 'rude', 'hi'], { NO_COLOR: '1' });
    expect(await cli.exited).toBe(1);
    expect(cli.out).toContain('no]0;owned (rude)');
  });

  it('lets no model control the terminal', async () => {
    upstream.script('hostile', (exchange) => {
      exchange.role();
      exchange.text(`a\u001b]0;owned${BELL}b\u009b2Jc\td`);
      exchange.complete();
    });
    const cli = start(['-m', 'hostile', 'hi'], { NO_COLOR: '1' });
    expect(await cli.exited).toBe(0);
    expect(cli.out).toContain('a]0;ownedb2Jc\td');
  });
});
