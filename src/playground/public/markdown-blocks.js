import { Lexer } from 'marked';

/**
 * @typedef {import('marked').MarkedToken} Token
 *
 * @typedef {object} Block
 * @property {Token} token
 * @property {boolean} continues whether it is more of the list before it
 */

/**
 * Cuts a growing Markdown text into blocks. Once another block with a whole line follows, a block does
 * not change any more, whatever comes, so that only the last ones have to be looked at again.
 */
export class MarkdownBlocks {
  #offset = 0;
  #continues = false;
  /** @type {Lexer['tokens']['links']} */
  #links = {};

  /**
   * @param {string} text all of it, up to now
   * @returns {{ closed: Block[], open: Block[] }} the blocks that were closed since the last time, and
   *   those that may still change
   */
  update(text) {
    const lexer = new Lexer();
    Object.assign(lexer.tokens.links, this.#links);
    // The lexer would shorten them itself, and the offset be another's.
    const tail = text.replaceAll(/\r\n?/g, '\n').slice(this.#offset);
    const tokens = /** @type {Token[]} */ (lexer.lex(tail)).filter(({ raw }) => raw !== '');

    const last = tokens.findLastIndex(isShown);
    const before = tokens.slice(0, Math.max(last, 0)).findLastIndex(isShown);
    const firstOpen = tokens[last]?.raw.includes('\n') || before === -1 ? last : before;
    const closed = tokens.slice(0, Math.max(firstOpen, 0)).map((token) => this.#close(token));
    const open = tokens.slice(Math.max(firstOpen, 0));

    const [list] = open;
    if (list?.type === 'list') {
      const isLineWhole = open.length > 1 || list.items.at(-1)?.raw.includes('\n');
      const items = list.items.slice(0, isLineWhole ? -1 : -2);
      if (items.length > 0) {
        closed.push(this.#close({ ...list, items, raw: items.map(({ raw }) => raw).join('') }));
        this.#continues = true;
        open[0] = { ...list, items: list.items.slice(items.length) };
      }
    }
    return {
      closed,
      open: open.map((token, index) => ({ token, continues: this.#continues && index === 0 })),
    };
  }

  /** @param {Token} token */
  #close(token) {
    if (token.type === 'def') this.#links[token.tag] = token;
    const block = { token, continues: this.#continues };
    this.#offset += token.raw.length;
    this.#continues = false;
    return block;
  }
}

/** @param {Token} token */
function isShown({ type }) {
  return type !== 'space';
}
