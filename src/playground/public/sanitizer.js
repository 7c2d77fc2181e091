import 'dompurify';

// Only DOMPurify's own file is minified, and that one has no exports.
const { DOMPurify } = /** @type {{ DOMPurify: import('dompurify').DOMPurify }} */ (
  /** @type {unknown} */ (globalThis)
);

const TAGS = [
  ...['p', 'h3', 'h4', 'h5', 'h6', 'ul', 'ol', 'li', 'blockquote', 'hr', 'pre', 'code', 'a', 'br'],
  ...['em', 'strong', 'del', 'b', 'i', 'u', 's', 'sub', 'sup', 'kbd', 'mark', 'span'],
  ...['table', 'thead', 'tbody', 'tr', 'th', 'td'],
];

/**
 * The one way by which a string becomes markup here.
 * @param {string} html
 * @returns {DocumentFragment}
 */
export function sanitize(html) {
  return DOMPurify.sanitize(html, {
    ALLOWED_TAGS: TAGS,
    ALLOWED_ATTR: ['href', 'class', 'start', 'align'],
    ADD_URI_SAFE_ATTR: ['start', 'align'],
    ALLOW_DATA_ATTR: false,
    ALLOW_ARIA_ATTR: false,
    ALLOWED_URI_REGEXP: /^https?:/i,
    RETURN_DOM_FRAGMENT: true,
  });
}
