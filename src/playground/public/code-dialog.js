import { copyButton } from './copy-button.js';
import { byId, h } from './dom.js';
import { highlight } from './highlight.js';
import { SNIPPETS } from './snippets.js';

/** @typedef {import('./snippets.js').Call} Call */

/** Shows what is on screen as code, in several languages. */
export class CodeDialog {
  #dialog = byId('code-dialog', HTMLDialogElement);
  #panel = byId('code-panel', HTMLElement);
  #tabs;
  /** @type {Call | undefined} */
  #call;

  constructor() {
    this.#tabs = SNIPPETS.map(({ name }, index) =>
      h(
        'button',
        {
          type: 'button',
          role: 'tab',
          id: `code-tab-${index}`,
          'aria-controls': 'code-panel',
          onclick: () => this.#show(index),
        },
        name,
      ),
    );
    const list = byId('code-tabs', HTMLElement);
    list.append(...this.#tabs);
    list.addEventListener('keydown', ({ key }) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[key] ?? 0;
      const index = this.#tabs.findIndex((tab) => tab === document.activeElement) + step;
      if (step !== 0) this.#show((index + this.#tabs.length) % this.#tabs.length);
    });
  }

  /** @param {Call} call */
  open(call) {
    this.#call = call;
    this.#dialog.showModal();
    this.#show(0);
  }

  /** @param {number} index */
  #show(index) {
    const snippet = SNIPPETS[index];
    if (!snippet || !this.#call) return;
    this.#tabs.forEach((tab, at) => {
      tab.setAttribute('aria-selected', String(at === index));
      tab.tabIndex = at === index ? 0 : -1;
    });
    this.#tabs[index]?.focus();
    this.#panel.setAttribute('aria-labelledby', `code-tab-${index}`);
    const text = snippet.write(this.#call);
    const code = h('code', {}, text);
    const bar = h('div', { className: 'code-bar' }, h('span', {}, noteFor(snippet.name)));
    bar.append(copyButton('Copy', () => text));
    const pre = h('pre', { tabIndex: 0 }, code);
    this.#panel.replaceChildren(h('div', { className: 'code' }, bar, pre));
    void highlight(code, snippet.language);
  }
}

/** @param {string} name */
function noteFor(name) {
  if (name === 'curl') return 'Sluice’s own stream';
  return name === 'Python' ? 'pip install openai' : 'npm install openai';
}
