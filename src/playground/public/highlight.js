import highlighter from '@highlightjs/cdn-assets/es/core.min.js';
import { nextTask } from './next-task.js';
import { sanitize } from './sanitizer.js';

/** Longer code stays plain: it would keep the page from answering for too long. */
const MAX_LENGTH = 12_000;

/** Whatever models call a language, the file that knows it. */
const FILES = new Map(
  Object.entries({
    bash: 'bash sh shell zsh console',
    diff: 'diff patch',
    go: 'go golang',
    java: 'java',
    javascript: 'javascript js jsx mjs',
    json: 'json jsonc',
    python: 'python py',
    rust: 'rust rs',
    sql: 'sql',
    typescript: 'typescript ts tsx',
    xml: 'xml html svg',
    yaml: 'yaml yml',
  }).flatMap(([file, names]) => names.split(' ').map((name) => [name, file])),
);

/**
 * Colours code, once its language is loaded; code in a language that is not known stays as it is.
 * @param {HTMLElement} element
 * @param {string} name of the language, as the model wrote it
 */
export async function highlight(element, name) {
  const language = FILES.get(name.toLowerCase());
  const code = element.textContent;
  if (!language || code.length > MAX_LENGTH) return;
  try {
    await load(language);
  } catch {
    return;
  }
  // Of many that came at once each is coloured for itself.
  await nextTask();
  const { value } = highlighter.highlight(code, { language, ignoreIllegals: true });
  element.replaceChildren(sanitize(value));
}

/** @param {string} language */
async function load(language) {
  if (highlighter.getLanguage(language)) return;
  const file = `@highlightjs/cdn-assets/es/languages/${language}.min.js`;
  const grammar = /** @type {{ default: unknown }} */ (await import(file));
  highlighter.registerLanguage(language, grammar.default);
}
