import { Marked } from 'marked';
import { sanitize } from './sanitizer.js';

/** Tags that models write within a line, and that can do nothing. */
const INLINE_TAG = /^<(?:br ?\/?|\/?(?:sub|sup|kbd|b|i|em|strong|u|s|mark))>$/i;

const marked = new Marked({
  gfm: true,
  renderer: {
    // The page's own headings are above them.
    heading({ tokens, depth }) {
      const level = Math.min(Math.max(depth, 3), 6);
      return `<h${level}>${this.parser.parseInline(tokens)}</h${level}>\n`;
    },
    // Without marked's line break at its end, so that it can grow.
    code({ text, lang = '' }) {
      const [language = ''] = lang.split(/\s/);
      return `<pre><code class="language-${escape(language)}">${escape(text)}</code></pre>\n`;
    },
    html({ text, block }) {
      if (INLINE_TAG.test(text.trim())) return text;
      return block
        ? `<pre><code class="language-html">${escape(text)}</code></pre>\n`
        : escape(text);
    },
    link({ href, tokens }) {
      const text = this.parser.parseInline(tokens);
      return isForeign(href) ? `<a href="${escape(href)}">${text}</a>` : text;
    },
    // Whoever loads an image tells its server that the answer was read.
    image({ href, text }) {
      const name = escape(text || 'image');
      return isForeign(href) ? `<a href="${escape(href)}">${name}</a>` : name;
    },
    checkbox({ checked }) {
      return checked ? '☑ ' : '☐ ';
    },
  },
});

/**
 * Markdown of a model, which is not to be trusted, as nodes that can't do anything.
 * @param {import('marked').Token[]} tokens
 * @returns {DocumentFragment}
 */
export function render(tokens) {
  return sanitize(marked.parser(tokens));
}

/**
 * Whether a link leads to another site. One to this server could start a run; others than to the
 * web could start a program.
 * @param {string} href
 */
function isForeign(href) {
  if (!URL.canParse(href)) return false;
  const { protocol, origin } = new URL(href);
  return /^https?:$/.test(protocol) && origin !== location.origin;
}

/** @param {string} text */
function escape(text) {
  return text.replaceAll(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
