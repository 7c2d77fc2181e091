import { afterAll, beforeAll, expect, it } from '@jest/globals';
import type { Browser } from 'playwright-core';
import { startApp, type RunningApp } from '../support/app.js';
import { startBrowser } from '../support/browser.js';
import { Playground } from '../support/playground.js';
import { describeWith } from '../support/programs.js';

/** What a model could be made to write. Each tries to run, to load, or to lead somewhere. */
const ATTACKS = [
  '<script>window.attacked = 1</script>',
  '<img src=x onerror="window.attacked = 1">',
  'inline <img src="https://evil.example/p.png" onerror="window.attacked = 1"> and <svg onload="window.attacked = 1">',
  '<svg><script>window.attacked = 1</script></svg>',
  '<iframe srcdoc="<script>parent.attacked = 1</script>"></iframe>',
  '<math><mtext><table><mglyph><style><img src=x onerror="window.attacked = 1">',
  '<style>@import url(https://evil.example/a.css); * { display: none }</style>',
  '<link rel="stylesheet" href="https://evil.example/a.css"><base href="https://evil.example/">',
  '<meta http-equiv="refresh" content="0;url=https://evil.example/">',
  '<form action="https://evil.example/"><input name="a"><button>b</button></form>',
  '<p style="background:url(https://evil.example/b.png)">styled</p>',
  '<b onmouseover="window.attacked = 1" id="thread">bold</b> <a href="javascript:window.attacked=1">a</a>',
  '![image](https://evil.example/i.png) ![own](/v1/chat/stream?q=spend) ![data](data:image/svg+xml,<svg/onload=alert(1)>)',
  '[a](javascript:window.attacked=1) [b](JaVaScRiPt:window.attacked=1) [c](java\tscript:window.attacked=1)',
  '[d](data:text/html,<script>1</script>) [e](vbscript:1) [f](file:///etc/passwd) [g](/v1/chat/stream?q=spend)',
  '[h](//evil.example/x) [i]( javascript:window.attacked=1) <javascript:window.attacked=1>',
  '[j](https://evil.example/"onmouseover="window.attacked=1) [k](https://evil.example "t\\" onfocus=1")',
  '[l]\n\n[l]: javascript:window.attacked=1',
  '```"><img src=x onerror=window.attacked=1>\ncode</code></pre><script>window.attacked = 1</script>\n```',
  '| <img src=x onerror="window.attacked=1"> |\n|---|\n| <script>window.attacked=1</script> |',
  '# <a name="turns"></a><input id="message" autofocus onfocus="window.attacked=1">',
  '&lt;img src=x onerror=window.attacked=1&gt; &#106;avascript:window.attacked=1',
];

describeWith('chromium', 'what models write', () => {
  let browser: Browser;
  let server: RunningApp;

  beforeAll(async () => {
    server = await startApp({ DEMO: 'on' });
    browser = await startBrowser();
  }, 60_000);
  afterAll(async () => {
    await browser.close();
    await server.close();
  });

  it('can run, load and do nothing in the page', async () => {
    const sut = await Playground.open(browser, server.url);
    await sut.page.evaluate(() => {
      const seen = ((window as unknown as { violations: string[] }).violations = []) as string[];
      document.addEventListener('securitypolicyviolation', ({ violatedDirective, blockedURI }) =>
        seen.push(`${violatedDirective} ${blockedURI}`),
      );
    });
    for (const attack of ATTACKS) {
      await sut.page.click('#new');
      // Also in pieces, as it comes, and together with what is around it.
      await sut.ask('demo/echo', `Before.\n\n${attack}\n\nAfter.`);
      const { text } = await sut.ended();
      expect(text).toBe(`Before.\n\n${attack}\n\nAfter.`);
      const found = await sut.page.evaluate(() => {
        const own = '.code, .code-bar, .code-bar button, .code-bar button *, .table';
        const all = [...document.querySelectorAll('.markdown *')].filter((e) => !e.matches(own));
        return {
          tags: [...new Set(all.map(({ localName }) => localName))],
          attributes: [...new Set(all.flatMap((e) => e.getAttributeNames()))],
          links: [...document.querySelectorAll<HTMLAnchorElement>('.markdown a')].map(
            ({ href, rel, target }) => [new URL(href).origin, rel, target].join(' '),
          ),
          attacked: 'attacked' in window,
          violations: (window as unknown as { violations: string[] }).violations,
        };
      });
      expect({
        attack,
        ...found,
        tags: found.tags.filter((tag) => !HARMLESS.includes(tag)),
      }).toEqual({
        attack,
        tags: [],
        attributes: found.attributes.filter((name) => KNOWN.includes(name)),
        links: found.links.filter(
          (link) => link === 'https://evil.example noopener noreferrer nofollow _blank',
        ),
        attacked: false,
        violations: [],
      });
    }
    expect(sut.page.url()).toBe(`${server.url}/`);
    expect([...sut.origins]).toEqual([server.url]);
    expect(sut.problems).toEqual([]);
    await sut.close();
  }, 120_000);

  it('is shown as what it is', async () => {
    const sut = await Playground.open(browser, server.url);
    const text =
      'a<br>b <kbd>Esc</kbd> <x-y onclick=1>c</x-y>\n\n3. three\n4. four\n\n<br>\n\n<div>\nblock\n</div>';
    await sut.ask('demo/echo', text);
    await sut.ended();
    const html = await sut.page.locator('.markdown').innerHTML();
    expect(html).toContain('<p>a<br>b <kbd>Esc</kbd> &lt;x-y onclick=1&gt;c&lt;/x-y&gt;</p>');
    expect(html).toContain('<ol start="3">');
    expect(await sut.page.locator('.markdown pre').innerText()).toBe('<div>\nblock\n</div>');
    await sut.close();
  });
});

const HARMLESS = ['p', 'h3', 'ul', 'li', 'pre', 'code', 'a', 'span', 'b', 'em', 'strong'].concat([
  ...['table', 'thead', 'tbody', 'tr', 'th', 'td'],
]);
const KNOWN = ['href', 'rel', 'target', 'class', 'tabindex'];
