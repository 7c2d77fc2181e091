import { afterAll, beforeAll, expect, it } from '@jest/globals';
import axe, { type AxeResults } from 'axe-core';
import { mkdirSync } from 'node:fs';
import type { Browser, BrowserContextOptions } from 'playwright-core';
import { startApp, type RunningApp } from '../support/app.js';
import { startBrowser } from '../support/browser.js';
import { Playground } from '../support/playground.js';
import { describeWith } from '../support/programs.js';

const SCREENSHOTS = 'test/system/screenshots';

const MARKDOWN = `## What streams

Tokens, **one by one**, with \`Last-Event-ID\` and [a link](https://example.com/).

| Provider | First token |
|---|--:|
| OpenAI | 312 ms |
| Ollama | 48 ms |

1. First
2. Second
   - [x] nested

> A quote.

#### Deeper

## And back

\`\`\`js
// Resumes by itself.
const source = new EventSource(url);
source.onmessage = (event) => console.log(event.data);
\`\`\``;

/** What a person may come to see, each from the one before. */
const STATES: Record<string, (sut: Playground) => Promise<unknown>> = {
  intro: ({ page }) => page.locator('.intro li').first().waitFor(),
  answer: async (sut) => {
    await sut.ask('demo/echo', MARKDOWN);
    await sut.ended();
    await sut.page.locator('.hljs-keyword').first().waitFor();
  },
  editing: async ({ page }) => {
    await page.getByRole('button', { name: 'Edit the question' }).focus();
    await page.keyboard.press('Enter');
  },
  tools: async (sut) => {
    await sut.page.getByRole('button', { name: 'Keep them' }).click();
    await sut.ask('demo/reasoning', 'Think first.');
    await sut.ended();
    await sut.page.click('.reasoning:visible summary');
    await sut.ask('demo/tools', 'How is the weather?');
    await sut.ended();
  },
  failures: async (sut) => {
    await sut.ask('demo/error-mid', 'Start well, and end badly.');
    await sut.ended();
    await sut.ask('demo/rate-limit', 'Are you free?');
    await sut.ended();
  },
  waiting: async (sut) => {
    await sut.ask('demo/slow-start', 'Take your time.');
    await sut.page.getByText('Waiting for the first token…').waitFor();
  },
  streaming: async (sut) => {
    await sut.page.keyboard.press('Escape');
    await sut.ended();
    await sut.ask('demo/long', 'Tell me everything, at length.');
    await sut.until(1_500);
  },
  'looking-elsewhere': async ({ page }) => {
    await page.locator('#thread').hover();
    await page.mouse.wheel(0, -400);
    await page.locator('#to-end').waitFor();
  },
  cut: async (sut) => {
    await sut.page.click('#to-end');
    await sut.switchNetwork();
    await sut.page.getByText('The network is off.').waitFor();
  },
  stopped: async (sut) => {
    await sut.switchNetwork();
    await sut.page.getByRole('button', { name: 'Stop' }).click();
    await sut.ended();
  },
  code: ({ page }) => page.click('#open-code'),
  settings: async ({ page }) => {
    await page.keyboard.press('Escape');
    await page.click('#open-settings');
  },
  sidebar: async ({ page }) => {
    await page.keyboard.press('Escape');
    const menu = page.locator('header [popovertarget]');
    if (await menu.isVisible()) await menu.click();
    await page.locator('#conversations .open').first().hover();
  },
  key: ({ page }) => page.click('#open-key'),
};

const DESK = { viewport: { width: 1280, height: 860 } };
const PHONE = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true };

const SCREENS: [name: string, options: BrowserContextOptions][] = [
  ['desk-light', { ...DESK, colorScheme: 'light' }],
  ['desk-dark', { ...DESK, colorScheme: 'dark' }],
  ['phone-light', { ...PHONE, colorScheme: 'light' }],
  ['phone-dark', { ...PHONE, colorScheme: 'dark', reducedMotion: 'reduce' }],
];

describeWith('chromium', 'every state of the playground', () => {
  let browser: Browser;
  let server: RunningApp;

  beforeAll(async () => {
    server = await startApp({ DEMO: 'on' });
    browser = await startBrowser();
    mkdirSync(SCREENSHOTS, { recursive: true });
  }, 60_000);
  afterAll(async () => {
    await browser.close();
    await server.close();
  });

  it.each(SCREENS)(
    'has nothing that keeps people out: %s',
    async (screen, options) => {
      const sut = await Playground.open(browser, server.url, options);
      const found: Record<string, string[]> = {};
      for (const [state, reach] of Object.entries(STATES)) {
        await reach(sut);
        await sut.page.screenshot({ path: `${SCREENSHOTS}/${screen}-${state}.png` });
        found[state] = await violations(sut);
      }
      expect(found).toEqual(Object.fromEntries(Object.keys(STATES).map((state) => [state, []])));
      expect(await sut.page.evaluate(overflow)).toBe(0);
      expect(sut.problems).toEqual([]);
      await sut.close();
    },
    120_000,
  );

  it('can be used by the keyboard alone', async () => {
    const sut = await Playground.open(browser, server.url);
    const { page } = sut;
    const focused = () => page.evaluate(() => document.activeElement?.id ?? '');
    expect(await focused()).toBe('message');
    const first = page.locator('a, button, input, select, textarea, [tabindex]').first();
    await first.focus();
    expect(await first.innerText()).toBe('Skip to the message field');
    await page.keyboard.press('Enter');
    expect(await focused()).toBe('message');

    const order = ['model', 'send'];
    for (const id of order) {
      await page.keyboard.press('Tab');
      expect(await focused()).toBe(id);
    }
    for (const id of ['model', 'message', 'network']) {
      await page.keyboard.press('Shift+Tab');
      expect(await focused()).toBe(id);
    }
    await page.keyboard.press('Space');
    expect(await page.locator('#network').getAttribute('aria-checked')).toBe('false');
    await page.keyboard.press('Space');

    await page.focus('#open-code');
    await page.keyboard.press('Enter');
    await page.keyboard.press('ArrowRight');
    expect(await page.locator('[role=tab][aria-selected=true]').innerText()).toBe('JavaScript');
    await page.keyboard.press('Escape');
    expect(await focused()).toBe('open-code');
    await sut.close();
  });

  it('has room for long titles, and for tables without a broken word, on the smallest phone', async () => {
    const viewport = { width: 320, height: 480 };
    const sut = await Playground.open(browser, server.url, { ...PHONE, viewport });
    await sut.page.locator('.intro li').first().waitFor();
    await sut.page.locator('#thread').hover();
    await sut.page.mouse.wheel(0, 20);
    await sut.page.waitForFunction(() => document.querySelector('#thread')!.scrollTop > 0);
    expect(await sut.page.locator('#to-end').isVisible()).toBe(false);

    const words = 'Internationalisation Authentication Configuration'.split(' ');
    const row = (cells: string[]) => `| ${cells.join(' | ')} |`;
    const table = [words, words.map(() => '---'), words].map(row).join('\n');
    await sut.ask('demo/echo', `${words.join(' ')}\n\n${table}`);
    await sut.ended();
    const [lines, isScrolled] = await sut.page.locator('.table').evaluate((element) => {
      const { lineHeight } = getComputedStyle(element);
      const heads = [...element.querySelectorAll('th')];
      const range = document.createRange();
      const lines = heads.map((head) => {
        range.selectNodeContents(head);
        return Math.round(range.getBoundingClientRect().height / parseFloat(lineHeight));
      });
      return [lines, element.scrollWidth > element.clientWidth] as const;
    });
    expect([lines, isScrolled]).toEqual([[1, 1, 1], true]);
    await sut.page.fill('#message', 'x'.repeat(500));
    const { x, width } = (await sut.page.locator('#send').boundingBox())!;
    expect(x + width).toBeLessThan(viewport.width);
    expect(await sut.page.evaluate(overflow)).toBe(0);
    await sut.close();
  });

  it('shows what is on and chosen where the system’s colours are all there are', async () => {
    const sut = await Playground.open(browser, server.url, { forcedColors: 'active' });
    const style = (selector: string, property: string) =>
      sut.page
        .locator(selector)
        .evaluate((e, name) => getComputedStyle(e).getPropertyValue(name), property);
    const track = () => style('.track', 'background-color');
    const on = await track();
    await sut.switchNetwork();
    await sut.page.waitForTimeout(200);
    expect(await track()).not.toBe(on);
    await sut.page.click('#open-code');
    const line = (isSelected: boolean) =>
      style(`[role=tab][aria-selected=${isSelected}] >> nth=0`, 'border-bottom-color');
    expect(await line(true)).not.toBe(await line(false));
    await sut.page.keyboard.press('Escape');
    await sut.switchNetwork();
    await sut.ask('demo/echo', 'hi');
    await sut.ended();
    expect(await style('#conversations .current', 'outline-style')).toBe('solid');
    await sut.close();
  });

  it('does not read out every token', async () => {
    const sut = await Playground.open(browser, server.url);
    await sut.page.evaluate(() => {
      const said: string[] = [];
      Object.assign(window, { said });
      const status = document.querySelector('[role=status]')!;
      new MutationObserver(() => said.push(status.textContent)).observe(status, {
        childList: true,
      });
    });
    await sut.ask('demo/echo', 'many words, and each of them is a token of its own');
    await sut.ended();
    expect(await sut.page.evaluate(() => (window as unknown as { said: string[] }).said)).toEqual([
      'The answer is being written.',
      'The answer is complete: 12 tokens.',
    ]);
    await sut.close();
  });

  it('remembers the theme that was chosen', async () => {
    const sut = await Playground.open(browser, server.url, { colorScheme: 'light' });
    const scheme = () =>
      sut.page.evaluate(() => getComputedStyle(document.documentElement).colorScheme);
    expect(await scheme()).toBe('light dark');
    await sut.page.getByRole('button', { name: 'Theme: system' }).click();
    await sut.page.getByRole('button', { name: 'Theme: light' }).click();
    await sut.page.reload();
    expect(await scheme()).toBe('dark');
    await sut.close();
  });
});

/** What axe-core finds, one line for each. */
async function violations({ page }: Playground): Promise<string[]> {
  const isThere = await page.evaluate(() => 'axe' in window);
  if (!isThere) await page.evaluate(axe.source);
  const results = await page.evaluate(() =>
    (window as unknown as { axe: { run(): Promise<AxeResults> } }).axe.run(),
  );
  return results.violations.flatMap(({ id, nodes }) =>
    nodes.map(
      ({ target, failureSummary }) => `${id}: ${target.join(' ')}: ${failureSummary ?? ''}`,
    ),
  );
}

/** By how much the page is wider than the window, in pixels. */
function overflow(): number {
  return document.documentElement.scrollWidth - innerWidth;
}
