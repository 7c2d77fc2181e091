import { copyButton } from './copy-button.js';
import { h } from './dom.js';
import { highlight } from './highlight.js';
import { MarkdownBlocks } from './markdown-blocks.js';
import { render } from './markdown.js';

/** Rendering may take this share of the time; what comes meanwhile waits for the next turn. */
const SHARE = 1 / 4;
/** What came at once is rendered in pieces of so many characters, for so long at a time. */
const PIECE_LENGTH = 500;
const BUDGET_MS = 8;

/** @typedef {import('./markdown-blocks.js').Block} Block */

/** A growing Markdown text on the page, of which only the last block is rendered again. */
export class MarkdownView {
  element = h('div', { className: 'markdown', dir: 'auto' });

  #blocks = new MarkdownBlocks();
  #length = 0;
  /** @type {Block[]} */
  #open = [];
  /** @type {Element[]} */
  #openNodes = [];
  /** The depths of the headings that what comes next is under, as the model chose them. */
  #outline = /** @type {number[]} */ ([]);
  #notBefore = 0;

  /**
   * @param {string} text all of it, up to now
   * @param {boolean} isWhole whether no more will come
   * @returns {boolean} whether all of it is shown; if not, it has to be asked for once more
   */
  update(text, isWhole) {
    const start = performance.now();
    if (!isWhole && start < this.#notBefore) return false;
    while (this.#length < text.length && performance.now() < start + BUDGET_MS) {
      this.#length = Math.min(this.#length + PIECE_LENGTH, text.length);
      this.#render(text.slice(0, this.#length));
    }
    const isShown = this.#length === text.length;
    if (isShown && isWhole) this.#close();
    const end = performance.now();
    this.#notBefore = end + (end - start) * (1 / SHARE - 1);
    return isShown;
  }

  /** @param {string} text */
  #render(text) {
    const { closed, open } = this.#blocks.update(text);
    if (closed.length === 0 && this.#grow(open)) return;
    for (const node of this.#openNodes) node.remove();
    for (const block of closed) {
      this.#append(block).forEach(colour);
      if (block.token.type === 'heading') this.#outline = this.#below(block.token.depth);
    }
    this.#openNodes = open.flatMap((block) => this.#append(block));
    this.#open = open;
  }

  /** What is there will not change any more. */
  #close() {
    this.#openNodes.forEach(colour);
    this.#openNodes = [];
  }

  /**
   * Code that only became longer.
   * @param {Block[]} open
   * @returns {boolean} whether it was that
   */
  #grow(open) {
    const before = this.#open[0]?.token;
    const after = open[0]?.token;
    if (open.length !== 1 || this.#open.length !== 1) return false;
    if (before?.type !== 'code' || after?.type !== 'code' || before.lang !== after.lang)
      return false;
    if (!after.text.startsWith(before.text)) return false;
    this.#openNodes[0]?.querySelector('code')?.append(after.text.slice(before.text.length));
    this.#open = open;
    return true;
  }

  /**
   * @param {Block} block
   * @returns {Element[]} what it became
   */
  #append({ token, continues }) {
    const isHeading = token.type === 'heading';
    // Under the page's own two levels, and without gaps, whatever the model began with.
    const depth = isHeading ? this.#below(token.depth).length + 2 : 0;
    const fragment = render([isHeading ? { ...token, depth } : token]);
    finish(fragment);
    const list = continues ? this.element.lastElementChild : null;
    const nodes = [...(list ? (fragment.children[0]?.children ?? []) : fragment.children)];
    (list ?? this.element).append(...nodes);
    return nodes;
  }

  /** @param {number} depth */
  #below(depth) {
    return [...this.#outline.filter((above) => above < depth), depth];
  }
}

/**
 * Adds what the page itself has to say on an answer's elements.
 * @param {DocumentFragment} fragment
 */
function finish(fragment) {
  for (const link of fragment.querySelectorAll('a')) {
    link.target = '_blank';
    link.rel = 'noopener noreferrer nofollow';
  }
  for (const table of fragment.querySelectorAll('table')) {
    const scroller = h('div', {
      className: 'table',
      tabIndex: 0,
      role: 'group',
      'aria-label': 'Table',
    });
    table.replaceWith(scroller);
    scroller.append(table);
  }
  for (const pre of fragment.querySelectorAll('pre')) {
    const name = languageOf(pre);
    const label = name ? `Code in ${name}` : 'Code';
    const figure = h('div', { className: 'code', role: 'group', 'aria-label': label });
    pre.replaceWith(figure);
    pre.tabIndex = 0;
    const bar = h('div', { className: 'code-bar' }, h('span', {}, name || 'text'));
    bar.append(copyButton('Copy', () => pre.textContent));
    figure.append(bar, pre);
  }
}

/** @param {Element} node */
function colour(node) {
  for (const pre of node.querySelectorAll('pre')) {
    const code = pre.querySelector('code');
    if (code) void highlight(code, languageOf(pre));
  }
}

/** @param {HTMLPreElement} pre */
function languageOf(pre) {
  return /language-(\S+)/.exec(pre.querySelector('code')?.className ?? '')?.[1] ?? '';
}
