import type { Browser, BrowserContext, BrowserContextOptions, Page } from 'playwright-core';

interface Answer {
  status: string;
  text: string;
  reasoning: string;
  resumes: number;
  cursor: { runId: string; lastEventId: string };
}

/** What the browser says by itself of an answer with an HTTP status of an error. */
const OF_STATUS = /^Failed to load resource: the server responded with a status of [45]\d\d/;
/** And of a connection that is cut. */
const OF_CUT = /^Failed to load resource: net::ERR_/;

/** The playground in a browser of its own, with what a person could do there. */
export class Playground {
  /** Errors on the console, uncaught ones, and what the page's policy had to prevent. */
  readonly problems: string[] = [];
  /** The origins of all that was asked for. */
  readonly origins = new Set<string>();

  private constructor(
    readonly context: BrowserContext,
    readonly page: Page,
    readonly url: string,
  ) {
    page.on('console', (message) => {
      const text = message.text();
      const isExpected = OF_STATUS.test(text) || OF_CUT.test(text);
      if (message.type() === 'error' && !isExpected) this.problems.push(text);
    });
    page.on('pageerror', (error) => this.problems.push(String(error)));
    page.on('request', (request) => this.origins.add(new URL(request.url()).origin));
  }

  static async open(browser: Browser, url: string, options: BrowserContextOptions = {}) {
    const playground = await Playground.blank(browser, url, options);
    await playground.load();
    return playground;
  }

  /** The browser alone: nothing is loaded yet. */
  static async blank(browser: Browser, url: string, options: BrowserContextOptions = {}) {
    const context = await browser.newContext(options);
    return new Playground(context, await context.newPage(), url);
  }

  async load(): Promise<void> {
    await this.page.goto(this.url);
    await this.page.waitForFunction(() => performance.getEntriesByName('interactive').length > 0);
  }

  /** Chooses a model, by its name where it isn't listed, and sends a message. */
  async ask(model: string, message = 'hi'): Promise<void> {
    await this.choose(model);
    await this.page.fill('#message', message);
    await this.page.press('#message', 'Enter');
  }

  async choose(model: string): Promise<void> {
    if (model.startsWith('demo/')) {
      await this.page.locator(`#model option[value="${model}"]`).waitFor({ state: 'attached' });
      await this.page.selectOption('#model', model);
    } else {
      await this.page.selectOption('#model', { label: 'Another model…' });
      await this.page.fill('#other-model', model);
    }
  }

  /** What is kept of the latest answer of the conversation that was touched last. */
  answer(): Promise<Answer | undefined> {
    return this.page.evaluate(() => {
      const kept = Object.keys(localStorage)
        .filter((key) => key.startsWith('sluice.conversation.'))
        .map((key) => JSON.parse(localStorage.getItem(key)!) as Conversation)
        .sort((a, b) => b.updatedAt - a.updatedAt);
      return kept[0]?.turns.at(-1)?.answer;
      interface Conversation {
        updatedAt: number;
        turns: { answer: Answer }[];
      }
    });
  }

  /** The text of the last answer, as it is on the page. */
  shown(): Promise<string> {
    return this.page.locator('.answer').last().locator('.markdown').innerText();
  }

  /** Resolves once so many characters of the last answer are there. */
  async until(length: number): Promise<void> {
    await this.page.waitForFunction(
      (wanted) =>
        ([...document.querySelectorAll('.answer .markdown')].at(-1)?.textContent.length ?? 0) >=
        wanted,
      length,
    );
  }

  /** Resolves when the last answer has ended, whichever way. */
  async ended(timeout = 15_000): Promise<Answer> {
    const end = this.page.locator('.turn:last-child .end footer');
    try {
      await end.waitFor({ state: 'attached', timeout });
    } catch (error) {
      const main = await this.page.locator('main').innerText();
      throw new Error(`no end in:\n${main}\n${this.problems.join('\n')}`, { cause: error });
    }
    await this.page.waitForFunction(() => document.querySelector('#send.stop') === null);
    return (await this.answer())!;
  }

  async switchNetwork(): Promise<void> {
    await this.page.click('#network');
  }

  async close(): Promise<void> {
    await this.context.close();
  }
}
