import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from '@jest/globals';
import type { Browser } from 'playwright-core';
import { startApp, type RunningApp } from '../support/app.js';
import { startBrowser } from '../support/browser.js';
import { eventually } from '../support/eventually.js';
import { Playground } from '../support/playground.js';
import { describeWith } from '../support/programs.js';
import { startProxy, type Proxy } from '../support/proxy.js';
import {
  NASTY,
  REASONING,
  startUpstream,
  TEXT,
  textOf,
  type Upstream,
} from '../support/upstream/index.js';

describeWith('chromium', 'the playground', () => {
  let browser: Browser;
  let upstream: Upstream;
  let server: RunningApp;
  let proxy: Proxy;
  let sut: Playground;

  beforeAll(async () => {
    upstream = await startUpstream();
    server = await startApp({ OPENAI_BASE_URL: `${upstream.url}/v1`, DEMO: 'on' });
    browser = await startBrowser();
  }, 60_000);
  beforeEach(async () => {
    proxy = await startProxy(server.port);
    sut = await Playground.open(browser, proxy.url);
  });
  afterEach(async () => {
    expect(sut.problems).toEqual([]);
    expect([...sut.origins]).toEqual([proxy.url]);
    await sut.close();
    await proxy.close();
    upstream.reset();
  });
  afterAll(async () => {
    await browser.close();
    await server.close();
    await upstream.close();
  });

  /** The one generation that there was. */
  function generation() {
    expect(upstream.requests).toHaveLength(1);
    return upstream.requests[0]!;
  }

  it('shows an answer token by token, and measures it', async () => {
    await sut.ask('text_tokens-60_ms-30');
    const lengths = new Set<number>();
    const watch = setInterval(
      () => void sut.shown().then(({ length }) => lengths.add(length)),
      100,
    );
    const { status, text } = await sut.ended();
    clearInterval(watch);
    expect({ status, text }).toEqual({ status: 'done', text: textOf(60) });
    expect(lengths.size).toBeGreaterThan(4);
    expect(await sut.shown()).toMatch(/^Hello, Grüße.*The end/s);

    expect(await sut.page.locator('#ttft').innerText()).toMatch(/^\d+ ms$|^\d[\d.]* s$/);
    expect(Number(await sut.page.locator('#rate').innerText())).toBeGreaterThan(1);
    expect(await sut.page.locator('#tokens').innerText()).toBe('60');
    const plot = await sut.page.locator('#gaps').getAttribute('aria-label');
    expect(plot).toMatch(/^Gaps between tokens: median \d+ ms, 99th percentile /);
    expect(await sut.page.locator('#status').innerText()).toBe(
      'The answer is complete: 60 tokens.',
    );
  });

  it('keeps every character, however strange', async () => {
    await sut.ask('nasty');
    expect((await sut.ended()).text).toBe(NASTY);
  });

  it('folds the reasoning, and shows it', async () => {
    await sut.ask('reasoning');
    await sut.ended();
    const text = sut.page.locator('.reasoning p');
    expect(await text.isVisible()).toBe(false);
    await sut.page.click('.reasoning summary');
    expect(await text.innerText()).toBe(REASONING);
    expect((await sut.shown()).trim()).toMatch(/^Hello/);
  });

  it('shows what tools are called with', async () => {
    await sut.ask('demo/tools', 'How is the weather?');
    await sut.ended();
    expect(await sut.page.locator('.call').innerText()).toBe(
      ' Calls get_weather\n{\n  "city": "Tokyo"\n}',
    );
  });

  it('sends the conversation, and what was set for it', async () => {
    await sut.page.click('#open-settings');
    await sut.page.fill('#system', 'Be brief.');
    await sut.page.getByLabel('It is stopped at once').check();
    await sut.page.getByRole('button', { name: 'Use from the next answer on' }).click();
    await sut.ask('text', 'one');
    await sut.ended();
    await sut.ask('text', 'two');
    await sut.ended();
    expect(upstream.requests[1]!.body.messages).toEqual([
      { role: 'system', content: 'Be brief.' },
      { role: 'user', content: 'one' },
      { role: 'assistant', content: TEXT },
      { role: 'user', content: 'two' },
    ]);
  });

  it('answers again, and a question that was changed', async () => {
    await sut.ask('text', 'one');
    await sut.ended();
    await sut.page.getByRole('button', { name: 'Ask again' }).click();
    await eventually(() => expect(upstream.requests).toHaveLength(2), 5_000);
    await sut.ended();
    await sut.page.getByRole('button', { name: 'Edit the question' }).focus();
    await sut.page.keyboard.press('Enter');
    expect(await sut.page.locator('#message').inputValue()).toBe('one');
    await sut.page.fill('#message', 'another');
    await sut.page.keyboard.press('Enter');
    await eventually(() => expect(upstream.requests).toHaveLength(3), 5_000);
    await sut.ended();
    expect(await sut.page.locator('.turn').count()).toBe(1);
    const asked = upstream.requests.map(({ body }) => body.messages);
    expect(asked).toEqual(['one', 'one', 'another'].map((content) => [{ role: 'user', content }]));
  });

  it('changes no question but the last without a word, and none while it answers', async () => {
    for (const question of ['one', 'two']) {
      await sut.ask('demo/echo', question);
      await sut.ended();
    }
    const again = sut.page.getByRole('button', { name: 'Ask again' });
    const edit = sut.page.getByRole('button', { name: 'Edit the question' });
    expect([await again.count(), await edit.count()]).toEqual([1, 2]);
    await again.click();
    await sut.ended();
    expect(await sut.page.locator('.question p').allInnerTexts()).toEqual(['one', 'two']);
    await sut.ask('text_tokens-5000_ms-10');
    await sut.until(50);
    expect([await again.count(), await edit.count()]).toEqual([0, 0]);
    await sut.page.getByRole('button', { name: 'Stop' }).click();
    await sut.ended();
    expect([await again.count(), await edit.count()]).toEqual([1, 3]);
  });

  it('keeps what was being written, through an edit that is given up and through a reload', async () => {
    await sut.ask('demo/echo', 'one');
    await sut.ended();
    const message = sut.page.locator('#message');
    const edit = async () => {
      await sut.page.getByRole('button', { name: 'Edit the question' }).focus();
      await sut.page.keyboard.press('Enter');
      expect(await message.inputValue()).toBe('one');
    };
    await message.fill('a draft');
    await edit();
    await message.press('Escape');
    expect(await message.inputValue()).toBe('a draft');
    await edit();
    await sut.page.click('#new');
    expect(await message.inputValue()).toBe('a draft');
    await sut.page.reload();
    expect(await message.inputValue()).toBe('a draft');
    expect(await sut.page.locator('#title').innerText()).toBe('New conversation');
  });

  it('stops, which stops the generation', async () => {
    await sut.ask('text_tokens-5000_ms-10');
    await sut.until(50);
    await sut.page.getByRole('button', { name: 'Stop' }).click();
    const { status, text } = await sut.ended();
    expect(status).toBe('stopped');
    expect(text.length).toBeGreaterThan(50);
    await generation().closed;
    expect(generation().closedEarly).toBe(true);
    expect(await sut.page.locator('.end footer').innerText()).toContain('stopped');
  });

  it('stops by the keyboard before the first token', async () => {
    await sut.ask('text_wait-1500_tokens-5000_ms-10');
    await eventually(() => expect(upstream.requests).toHaveLength(1), 5_000);
    await sut.page.press('#message', 'Escape');
    const { status, text } = await sut.ended();
    expect({ status, text }).toEqual({ status: 'stopped', text: '' });
    await generation().closed;
    expect(generation().closedEarly).toBe(true);
  });

  it('stops after a reload what was stopped before the first token', async () => {
    await sut.ask('text_wait-1500_tokens-5000_ms-10');
    await eventually(() => expect(upstream.requests).toHaveLength(1), 5_000);
    await sut.page.press('#message', 'Escape');
    await sut.page.reload();
    await generation().closed;
    expect(generation().closedEarly).toBe(true);
    expect(await sut.ended()).toMatchObject({ status: 'stopped', text: '' });
  });

  it('sends nothing that was stopped while its network was off', async () => {
    await sut.choose('text');
    await sut.switchNetwork();
    await sut.page.fill('#message', 'hi');
    await sut.page.press('#message', 'Enter');
    await sut.page.getByText('Your message is sent once it is on again.').waitFor();
    await sut.page.press('#message', 'Escape');
    expect((await sut.ended()).status).toBe('stopped');
    await sut.switchNetwork();
    await sut.ask('text', 'another');
    expect((await sut.ended()).status).toBe('done');
    expect(generation().body.messages!.at(-1)).toEqual({ role: 'user', content: 'another' });
  });

  it('generates once what its network was switched off for before the first token, if that stops it', async () => {
    await sut.page.click('#open-settings');
    await sut.page.getByLabel('It is stopped at once').check();
    await sut.page.getByRole('button', { name: 'Use from the next answer on' }).click();
    await sut.ask('text_wait-1500');
    await eventually(() => expect(upstream.requests).toHaveLength(1), 5_000);
    await sut.switchNetwork();
    await sut.page.getByText('The server has stopped the answer').waitFor();
    await sut.switchNetwork();
    await sut.page.locator('.failure').getByText('before the first token').waitFor();
    await generation().closed;
    expect(generation().closedEarly).toBe(true);
  });

  it('stops after a reload what could not be told to stop before', async () => {
    await sut.ask('text_tokens-5000_ms-10');
    await sut.until(50);
    await sut.switchNetwork();
    await sut.page.getByText('The network is off.').waitFor();
    await sut.page.getByRole('button', { name: 'Stop' }).click();
    expect((await sut.ended()).status).toBe('stopped');
    expect(generation().finished).toBe(false);
    await sut.page.reload();
    await generation().closed;
    expect(generation().closedEarly).toBe(true);
    expect((await sut.ended()).status).toBe('stopped');
  });

  it('stops after a reload an answer that another was asked after', async () => {
    await sut.page.route('**/cancel', (route) => route.abort());
    await sut.ask('text_tokens-5000_ms-10');
    await sut.until(50);
    const stopped = generation();
    await sut.page.getByRole('button', { name: 'Stop' }).click();
    await sut.ended();
    await sut.ask('text', 'another');
    await eventually(() => expect(upstream.requests).toHaveLength(2), 5_000);
    expect((await sut.ended()).status).toBe('done');
    expect(stopped.finished).toBe(false);
    await sut.page.unroute('**/cancel');
    await sut.page.reload();
    await stopped.closed;
    expect(stopped.closedEarly).toBe(true);
  });

  it.each([
    ['a browser that says so', { isComposing: true }],
    ['Safari, which has ended it before', { keyCode: 229 }],
  ])('sends no word that is still composed, in %s', async (_browser, how) => {
    await sut.page.fill('#message', 'にほ');
    await sut.page.dispatchEvent('#message', 'keydown', { key: 'Enter', ...how });
    expect(await sut.page.locator('#message').inputValue()).toBe('にほ');
  });

  it('lets the message’s field grow and shrink where styles can’t', async () => {
    await sut.context.addInitScript(() => {
      CSS.supports = () => false;
      addEventListener('DOMContentLoaded', () => {
        document.querySelector('textarea')!.style.setProperty('field-sizing', 'fixed');
      });
    });
    await sut.load();
    const message = sut.page.locator('#message');
    const height = () => message.evaluate((field) => field.clientHeight);
    const before = await height();
    await sut.choose('demo/echo');
    await message.fill('one\ntwo\nthree\nfour');
    const grown = await height();
    expect(grown).toBeGreaterThan(before);
    await message.press('Enter');
    expect(await height()).toBe(before);
    await sut.ended();
    await sut.page.getByRole('button', { name: 'Edit the question' }).press('Enter');
    expect(await height()).toBe(grown);
  });

  it('asks for the name of another model, and does not ask the default instead', async () => {
    await sut.choose(' ');
    await sut.page.fill('#message', 'hi');
    await sut.page.press('#message', 'Enter');
    expect(await sut.page.locator('#message').inputValue()).toBe('hi');
    expect(await sut.page.locator('#other-model').evaluate((e) => e.matches(':focus'))).toBe(true);
    await sut.page.fill('#other-model', 'text');
    await sut.page.press('#message', 'Enter');
    await sut.ended();
    expect(generation().body.model).toBe('text');
  });

  it('works where the browser has no room, and says what it can’t keep', async () => {
    await sut.context.addInitScript(() => {
      Storage.prototype.setItem = () => {
        throw new DOMException('full', 'QuotaExceededError');
      };
    });
    await sut.load();
    await sut.page.getByRole('button', { name: 'Theme: system' }).click();
    await sut.page.getByRole('button', { name: 'Theme: light' }).waitFor();
    await sut.page.click('#open-key');
    await sut.page.fill('#key', 'a key');
    await sut.page.keyboard.press('Enter');
    await sut.page.click('#open-key');
    expect(await sut.page.locator('#key').inputValue()).toBe('a key');
    await sut.page.keyboard.press('Escape');
    await sut.ask('demo/echo', 'hi');
    await sut.ended();
    expect(await sut.page.getByRole('alert').innerText()).toMatch(/no room to keep/);
    await sut.page.click('#new');
    expect(await sut.page.getByRole('alert').count()).toBe(0);
  });

  it('is written from right to left where the text is, and code never', async () => {
    await sut.ask('demo/echo', 'مرحبا\n\n- واحد\n\n<br>\n\n```\nمرحبا\n```');
    await sut.ended();
    const directions = (selector: string) =>
      sut.page
        .locator(selector)
        .evaluateAll((all) => all.map((one) => getComputedStyle(one).direction));
    const selector = '#title, #conversations .open, .question p, .markdown p, .markdown ul';
    expect(await directions(selector)).toEqual(Array(5).fill('rtl'));
    expect(await directions('.markdown pre')).toEqual(['ltr']);
    await sut.page.fill('#message', 'مرحبا');
    expect(await directions('#message')).toEqual(['rtl']);
  });

  it('works on beside a conversation that it can’t show', async () => {
    await sut.page.evaluate(() => {
      const answer = { status: 'done', toolCalls: [null] };
      const kept = {
        id: 'old',
        title: 'old',
        updatedAt: 9e12,
        turns: [{ question: 'hi', answer }],
      };
      localStorage.setItem('sluice.conversation.old', JSON.stringify(kept));
    });
    await sut.load();
    await sut.page.getByRole('button', { name: 'old', exact: true }).click();
    expect(await sut.page.locator('#status').innerText()).toBe('This conversation can’t be shown.');
    await sut.ask('demo/echo', 'still here');
    await sut.page.locator('.markdown', { hasText: 'still here' }).waitFor();
  });

  it('goes on where it was after its network was switched off', async () => {
    await sut.ask('text_tokens-200_ms-20');
    await sut.until(100);
    await sut.switchNetwork();
    await sut.page.getByText('The network is off.').waitFor();
    const before = (await sut.shown()).length;
    const sent = () => generation().sent.length;
    const sentBefore = sent();
    await eventually(() => expect(sent()).toBeGreaterThan(sentBefore + 20), 10_000);
    expect((await sut.shown()).length).toBe(before);

    await sut.switchNetwork();
    const { status, text, resumes } = await sut.ended();
    expect({ status, text, resumes }).toEqual({ status: 'done', text: textOf(200), resumes: 1 });
    expect(await sut.page.locator('.end footer').innerText()).toContain(
      'resumed once, nothing lost',
    );
    expect(generation().closedEarly).toBe(false);
  });

  it('resumes nothing that was stopped while its network was off', async () => {
    await sut.ask('text_tokens-5000_ms-10');
    await sut.until(100);
    await sut.switchNetwork();
    await sut.page.getByText('The network is off.').waitFor();
    await sut.page.getByRole('button', { name: 'Stop' }).click();
    await sut.ended();
    await sut.switchNetwork();
    await eventually(async () => expect(await sut.answer()).toMatchObject({ isStopDue: false }));
    expect(await sut.answer()).toMatchObject({ status: 'stopped', resumes: 0 });
    expect(await sut.page.locator('.end footer').innerText()).not.toContain('resumed');
    expect(generation().closedEarly).toBe(true);
  });

  it('goes on where it was through cuts that nobody announced', async () => {
    await sut.choose('text_tokens-150_ms-20');
    proxy.cut();
    proxy.cutNextAfter('event: sta', 1_500, 2_500);
    await sut.page.fill('#message', 'hi');
    await sut.page.keyboard.press('Enter');
    const { status, text } = await sut.ended();
    expect({ status, text }).toEqual({ status: 'done', text: textOf(150) });
    generation();
    expect(proxy.connections).toBeGreaterThan(3);
  });

  it('goes on where it was after a reload', async () => {
    await sut.ask('text_tokens-200_ms-20');
    await sut.until(200);
    await sut.page.reload();
    const { status, text, resumes } = await sut.ended();
    expect({ status, text, resumes }).toEqual({ status: 'done', text: textOf(200), resumes: 1 });
    expect((await sut.shown()).match(/The end/g)).toHaveLength(
      textOf(200).match(/The end/g)!.length,
    );
    generation();
  });

  it('has resumed nothing because another tab has', async () => {
    await sut.ask('text_tokens-150_ms-20');
    await sut.until(200);
    const other = await sut.context.newPage();
    await other.goto(sut.url);
    await other.locator('.markdown', { hasText: 'Hello' }).waitFor();
    await other.click('#network');
    await sut.ended();
    await other.click('#network');
    await other.locator('.end footer', { hasText: 'resumed' }).waitFor();
    await eventually(async () => expect((await sut.answer())?.resumes).toBeGreaterThan(0));
    expect(await sut.page.locator('.end footer').innerText()).not.toContain('resumed');
    generation();
  });

  it('is not disturbed by what another tab is answered', async () => {
    await sut.ask('demo/echo', 'A paragraph.\n\n'.repeat(40));
    await sut.ended();
    const place = () => sut.page.locator('#thread').evaluate((thread) => thread.scrollTop);
    await sut.page.locator('.question').hover();
    await sut.page.getByRole('button', { name: 'Edit the question' }).click();
    await sut.page.locator('#conversations li').hover();
    await sut.page.getByRole('button', { name: 'Rename A paragraph.' }).click();
    await sut.page.keyboard.type('A better');
    const before = await place();

    const other = await sut.context.newPage();
    await other.goto(sut.url);
    await other.click('#new');
    const changes = sut.page.evaluate(async () => {
      for (let change = 0; change < 3; change += 1) {
        await new Promise((resolve) => addEventListener('storage', resolve, { once: true }));
      }
    });
    await other.selectOption('#model', 'demo/long');
    await other.fill('#message', 'at length');
    await other.press('#message', 'Enter');
    await changes;
    await sut.page.keyboard.type(' name');
    await sut.page.keyboard.press('Enter');
    const titles = sut.page.locator('#conversations .open');
    expect(await titles.allInnerTexts()).toEqual([
      expect.stringContaining('at length'),
      'A better name',
    ]);
    expect(await titles.last().evaluate((title) => title === document.activeElement)).toBe(true);
    expect(await place()).toBe(before);
    expect(await sut.page.locator('#editing').isVisible()).toBe(true);
    await other.press('#message', 'Escape');
  });

  it('loses nothing that another tab asked in the same conversation', async () => {
    await sut.ask('demo/echo', 'one');
    await sut.ended();
    const other = await sut.context.newPage();
    await other.goto(sut.url);
    await other.selectOption('#model', { label: 'Another model…' });
    await other.fill('#other-model', 'text_tokens-60_ms-30');
    await other.fill('#message', 'two');
    await other.press('#message', 'Enter');
    await eventually(async () => expect((await sut.answer())?.status).toBe('pending'));
    await sut.page.fill('#message', 'three');
    await sut.page.press('#message', 'Enter');
    const questions = sut.page.locator('.question p');
    expect(await questions.allInnerTexts()).toEqual(['one', 'two']);
    expect((await sut.ended()).text).toBe(textOf(60));
    generation();
    await sut.page.press('#message', 'Enter');
    await sut.ended();
    await sut.page.reload();
    expect(await questions.allInnerTexts()).toEqual(['one', 'two', 'three']);
  });

  it('finds its run again when it was reloaded before the first token', async () => {
    await sut.ask('text_wait-1000');
    await eventually(() => expect(upstream.requests).toHaveLength(1), 5_000);
    await sut.page.reload();
    const { status, text } = await sut.ended();
    expect({ status, text }).toEqual({ status: 'done', text: TEXT });
    generation();
  });

  it('goes on in a conversation that is not on screen', async () => {
    await sut.ask('text_tokens-100_ms-20', 'the first');
    await sut.until(20);
    await sut.page.click('#new');
    await sut.ask('demo/echo', 'the second');
    await sut.ended();
    await sut.page.getByRole('button', { name: 'the first', exact: false }).first().click();
    await sut.page.locator('.end footer', { hasText: '100 tokens' }).waitFor();
    expect(await sut.page.locator('.turn').count()).toBe(1);
  });

  it('keeps conversations, renames and deletes them', async () => {
    await sut.ask('demo/echo', 'the first');
    await sut.ended();
    await sut.page.click('#new');
    await sut.ask('demo/echo', 'the second');
    await sut.ended();

    await sut.page.getByRole('button', { name: 'Rename the first' }).focus();
    await sut.page.keyboard.press('Enter');
    await sut.page.keyboard.type('A better name');
    await sut.page.keyboard.press('Enter');
    await sut.page.reload();
    const titles = sut.page.locator('#conversations .open');
    expect(await titles.allInnerTexts()).toEqual(['the second', 'A better name']);

    await titles.last().click();
    expect(await sut.shown()).toBe('the first');
    await sut.page.getByRole('button', { name: 'Delete A better name' }).click();
    await sut.page.getByRole('button', { name: 'Delete?' }).click();
    await sut.page.reload();
    expect(await titles.allInnerTexts()).toEqual(['the second']);
  });

  it('leaves the keyboard where it was, or takes it to the next message', async () => {
    const focused = () =>
      sut.page.evaluate(() => document.activeElement!.id || document.activeElement!.textContent);
    await sut.page.getByRole('button', { name: 'A formatted answer' }).press('Enter');
    expect(await focused()).toBe('message');
    await sut.page.keyboard.press('Escape');
    await sut.page.click('#new');
    await sut.ask('demo/echo', 'the second');
    await sut.ended();
    const first = 'What is this server, and what can it do?';
    await sut.page.getByRole('button', { name: first, exact: true }).press('Enter');
    expect(await focused()).toBe(first);
    const remove = sut.page.getByRole('button', { name: `Delete ${first}` });
    await remove.press('Enter');
    await sut.page.keyboard.press('Enter');
    expect(await focused()).toBe('message');
  });

  it('stops what a conversation is answered when that is deleted, and keeps nothing of it', async () => {
    await sut.ask('text_tokens-5000_ms-10', 'not for long');
    await sut.until(50);
    await sut.page.getByRole('button', { name: 'Delete not for long' }).click();
    await sut.page.getByRole('button', { name: 'Delete?' }).click();
    await generation().closed;
    expect(generation().closedEarly).toBe(true);
    await sut.page.reload();
    expect(await sut.page.locator('#conversations .open').count()).toBe(0);
  });

  it('colours code once it is whole, and copies it as it is', async () => {
    await sut.context.grantPermissions(['clipboard-read', 'clipboard-write']);
    const code = 'const a = "<b>";\nif (a) {\n  b();\n}';
    await sut.ask('demo/echo', `Look:\n\n\`\`\`js\n${code}\n\`\`\`\n\nThat is it.`);
    await sut.ended();
    await sut.page.locator('.markdown .hljs-keyword').first().waitFor();
    expect(await sut.page.locator('.markdown pre').textContent()).toBe(code);
    await sut.page.locator('.markdown').getByRole('button', { name: 'Copy' }).click();
    expect(await sut.page.evaluate(() => navigator.clipboard.readText())).toBe(code);
  });
});
