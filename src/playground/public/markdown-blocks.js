import { Lexer } from 'marked';

/**
 * @typedef {import('marked').MarkedToken} Token
 *
 * @typedef {object} Block
 * @property {Token} token
 * @property {boolean} continues whether it is more of the list before it
 */

/**
 * Cuts a growing Markdown text into blocks. A block that another one follows does not change any
 * more, whatever comes, so that only the last one has to be looked at again.
 */
export class MarkdownBlocks {
  #offset = 0;
  #continues = false;
  /** @type {Lexer['tokens']['links'] | undefined} */
  #links;

  /**
   * @param {string} text all of it, up to now
   * @returns {{ closed: Block[], open: Block | undefined }} the blocks that were closed since the last
   *   time, and the one that may still grow
   */
  update(text) {
    const lexer = new Lexer();
    if (this.#links) lexer.tokens.links = this.#links;
    // The lexer would shorten them itself, and the offset be another's.
    const list = lexer.lex(text.replaceAll(/\r\n?/g, '\n').slice(this.#offset));
    this.#links = list.links;
    const tokens = /** @type {Token[]} */ (/** @type {unknown} */ (list));

    const last = tokens.findLastIndex(({ type }) => type !== 'space');
    const closed = tokens.slice(0, Math.max(last, 0)).map((token) => this.#block(token));
    let open = tokens[last];
    if (open?.type === 'list' && open.items.length > 1) {
      const items = open.items.slice(0, -1);
      closed.push(this.#block({ ...open, items, raw: items.map(({ raw }) => raw).join('') }));
      this.#continues = true;
      open = { ...open, items: open.items.slice(-1) };
    }
    return { closed, open: open && { token: open, continues: this.#continues } };
  }

  /** @param {Token} token */
  #block(token) {
    const block = { token, continues: this.#continues };
    this.#offset += token.raw.length;
    this.#continues = false;
    return block;
  }
}
