import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from '@jest/globals';
import type { Browser } from 'playwright-core';
import { ChatError, ERROR_CODES } from '../../src/errors/chat-error.js';
import { startApp, type RunningApp } from '../support/app.js';
import { startBrowser } from '../support/browser.js';
import { eventually } from '../support/eventually.js';
import { Playground } from '../support/playground.js';
import { describeWith } from '../support/programs.js';
import { startProxy } from '../support/proxy.js';

describeWith('chromium', 'what the playground tells of failures', () => {
  let browser: Browser;
  let server: RunningApp;
  let sut: Playground;

  beforeAll(async () => {
    server = await startApp();
    browser = await startBrowser();
  }, 60_000);
  beforeEach(async () => {
    sut = await Playground.open(browser, server.url);
  });
  afterEach(async () => {
    expect(sut.problems).toEqual([]);
    await sut.close();
  });
  afterAll(async () => {
    await browser.close();
    await server.close();
  });

  async function failure() {
    await sut.ended();
    const card = sut.page.locator('.turn:last-child .failure');
    return {
      title: await card.locator('h3').innerText(),
      code: await card.locator('code').innerText(),
      remedy: await card.locator('button').allInnerTexts(),
      text: await card.innerText(),
    };
  }

  it.each([
    ['demo/error', 'The model can’t be reached', 'provider_unavailable'],
    ['demo/error-mid', 'The model failed in mid-answer', 'provider_error'],
    ['demo/truncate', 'The answer broke off', 'provider_truncated'],
    ['demo/nothing', 'There is no such model', 'model_not_found'],
  ])('%s: %s', async (model, title, code) => {
    if (model === 'demo/nothing') {
      await sut.page.selectOption('#model', { label: 'Another model…' });
      await sut.page.fill('#other-model', model);
      await sut.page.fill('#message', 'hi');
      await sut.page.press('#message', 'Enter');
    } else {
      await sut.ask(model);
    }
    expect(await failure()).toMatchObject({ title, code, remedy: ['Ask again'] });
    const isPartial = model === 'demo/error-mid' || model === 'demo/truncate';
    expect(await sut.shown()).toMatch(isPartial ? /^This is the demo provider/ : /^$/);
    expect(await sut.page.locator('#status').innerText()).toContain(title);
  });

  it('counts down to when it may be asked again', async () => {
    await sut.ask('demo/rate-limit');
    const { title, remedy } = await failure();
    expect(title).toBe('The model is busy');
    expect(remedy[0]).toMatch(/^Ask again in [67] s$/);
    const again = sut.page.locator('.failure button');
    expect(await again.isDisabled()).toBe(true);
    await sut.page.getByText('Ask again in 5 s').waitFor();
    await sut.page.reload();
    expect(await again.innerText()).toMatch(/^Ask again in [345] s$/);
    await sut.page.getByRole('button', { name: 'Ask again', exact: true }).click();
    expect((await failure()).title).toBe('The model is busy');
  });

  it('has its own words for every code of the server, and the server’s beside them', async () => {
    const titles = new Set<string>();
    for (const code of ERROR_CODES) {
      const { status, body } = new ChatError(code, `details of ${code}`);
      await sut.page.route('**/v1/chat/stream', (route) =>
        route.fulfill({ status, json: { error: body } }),
      );
      await sut.page.click('#new');
      await sut.ask('demo/echo');
      const told = await failure();
      expect(told).toMatchObject({ code });
      expect(told.text).toContain(`details of ${code}`);
      titles.add(told.title);
      await sut.page.unroute('**/v1/chat/stream');
      if (code === 'invalid_api_key') await sut.page.keyboard.press('Escape');
    }
    expect(titles.size).toBeGreaterThan(ERROR_CODES.length - 3);
  }, 60_000);

  it('tells of a refusal whose code is the provider’s own, and of what something else answered', async () => {
    const answers = [
      [
        { status: 400, json: { error: { code: 'content_too_hot', message: 'hot' } } },
        'content_too_hot',
      ],
      [{ status: 502, body: '<h1>Bad Gateway</h1>', contentType: 'text/html' }, 'http'],
    ] as const;
    for (const [answer, code] of answers) {
      await sut.page.route('**/v1/chat/stream', (route) => route.fulfill(answer));
      await sut.page.click('#new');
      await sut.ask('demo/echo');
      expect((await failure()).code).toBe(code);
      await sut.page.unroute('**/v1/chat/stream');
    }
  });

  it('says where models are chosen that they can’t be listed', async () => {
    await sut.page.route('**/v1/models', (route) => route.fulfill({ status: 502 }));
    await sut.load();
    const label = sut.page.locator('#model option', { hasText: 'the others can’t be listed' });
    await label.waitFor({ state: 'attached' });
  });

  it('looks for a server that is gone, and tells that it does', async () => {
    const proxy = await startProxy(server.port);
    const other = await Playground.open(browser, proxy.url);
    await other.ask('demo/long');
    await other.until(200);
    await proxy.close();
    await other.page.getByText('The connection is lost. Looking for it again…').waitFor();
    await other.page.getByRole('button', { name: 'Stop' }).click();
    const { status } = await other.ended();
    expect(status).toBe('stopped');
    expect((await other.shown()).length).toBeGreaterThan(200);
    expect(other.problems).toEqual([]);
    await other.close();
  });

  it('takes Enter in a dialog as its primary button, and Cancel as nothing', async () => {
    const { page } = sut;
    const key = page.locator('#key');
    const keyIs = () => page.evaluate(() => sessionStorage.getItem('sluice.key'));
    const reopen = async () => {
      await page.locator('#key-dialog').waitFor({ state: 'hidden' });
      await page.click('#open-key');
    };
    await page.click('#open-key');
    await key.fill('by-enter');
    await key.press('Enter');
    // A dialog is hidden a moment before its page is told that it closed.
    await eventually(async () => expect(await keyIs()).toBe('by-enter'));
    await reopen();
    await key.fill('never-mind');
    await page.getByRole('button', { name: 'Cancel' }).click();
    await reopen();
    expect([await key.inputValue(), await keyIs()]).toEqual(['by-enter', 'by-enter']);
    await page.keyboard.press('Escape');

    await page.click('#open-settings');
    const policy = page.getByLabel('It is written to its end');
    await policy.check();
    await policy.press('Enter');
    const policyIs = () => page.evaluate(() => localStorage.getItem('sluice.policy'));
    await eventually(async () => expect(await policyIs()).toBe('continue'));
    expect(await page.locator('#settings-dialog').isVisible()).toBe(false);
  });

  it('asks for a key where one is needed, and for another when it is wrong', async () => {
    const locked = await startApp({ API_KEYS: 'me:secret' });
    const other = await Playground.open(browser, locked.url);
    const dialog = other.page.locator('#key-dialog');
    const use = async (key: string) => {
      await dialog.getByLabel('Key', { exact: true }).fill(key);
      await dialog.getByRole('button', { name: 'Use this key' }).click();
    };
    await dialog.getByText('This server answers only with an API key.').waitFor();
    await use('schlüssel');
    expect(await dialog.isVisible()).toBe(true);
    await use('wrong');
    await dialog.getByText('This server did not accept the key that was entered.').waitFor();
    await use('secret');
    await other.ask('demo/echo', 'with a key');
    expect((await other.ended()).text).toBe('with a key');

    const kept = await other.page.evaluate(() =>
      [localStorage, sessionStorage].map((storage) => storage.getItem('sluice.key')),
    );
    expect(kept).toEqual([null, 'secret']);
    await other.page.evaluate(() => sessionStorage.removeItem('sluice.key'));
    await other.page.fill('#message', 'without');
    await other.page.press('#message', 'Enter');
    await dialog.getByText('This server answers only with an API key.').waitFor();
    await dialog.getByLabel('Keep it in this browser').check();
    await use('secret');
    await other.page.locator('.markdown', { hasText: 'without' }).waitFor();
    await other.page.reload();
    await other.page.locator('#model option[value="demo/echo"]').waitFor({ state: 'attached' });
    expect(await dialog.isVisible()).toBe(false);

    expect(other.problems).toEqual([]);
    await other.close();
    await locked.close();
  });

  it('asks again what was refused, as soon as it has a key that is right', async () => {
    const locked = await startApp({ API_KEYS: 'me:secret' });
    const other = await Playground.open(browser, locked.url);
    const dialog = other.page.locator('#key-dialog');
    const enter = async (key: string) => {
      await dialog.getByLabel('Key', { exact: true }).fill(key);
      await other.page.keyboard.press('Enter');
    };
    await dialog.waitFor();
    await other.page.keyboard.press('Escape');
    await other.page.fill('#message', 'hello');
    await other.page.press('#message', 'Enter');
    await dialog.waitFor();
    await other.page.keyboard.press('Escape');
    await other.page.getByRole('button', { name: 'Ask again' }).click();
    await dialog.waitFor();
    await enter('wrong');
    await dialog.getByText('did not accept').waitFor();
    await enter('secret');
    await other.page.waitForFunction(() => document.querySelector('.failure') === null);
    expect((await other.ended()).status).toBe('done');
    expect(await other.page.locator('.question p').allInnerTexts()).toEqual(['hello']);

    await other.page.click('#open-key');
    await dialog.getByText('Needed only where').waitFor();
    expect(other.problems).toEqual([]);
    await other.close();
    await locked.close();
  });
});
