import { h, icon } from './dom.js';
import { wordsFor } from './error-words.js';

/**
 * A failure, as a person would want to hear of it.
 * @param {import('./answer.js').Failure} failure
 * @param {{ onAgain: () => void, onKey: () => void }} remedies
 */
export function failureCard({ code, message, retryAt }, { onAgain, onKey }) {
  const { title, advice, remedy } = wordsFor(code);
  const text = h('div', {}, h('h3', {}, title), h('p', {}, advice));
  text.append(h('p', { className: 'details' }, h('code', {}, code), ` ${message}`));
  if (remedy === 'again') text.append(againButton(onAgain, retryAt));
  if (remedy === 'key') text.append(button('Enter a key', onKey), ' ', againButton(onAgain));
  return h('div', { className: 'failure' }, icon('warning'), text);
}

/**
 * @param {() => void} onAgain
 * @param {number} [readyAt] before which it would be in vain
 */
function againButton(onAgain, readyAt = 0) {
  const again = button('Ask again', onAgain);
  again.classList.add('again');
  const count = () => {
    const seconds = Math.ceil((readyAt - Date.now()) / 1000);
    again.disabled = seconds > 0;
    again.textContent = seconds > 0 ? `Ask again in ${seconds} s` : 'Ask again';
    if (seconds > 0) setTimeout(count, 250);
  };
  count();
  return again;
}

/**
 * @param {string} name
 * @param {() => void} onclick
 */
function button(name, onclick) {
  return h('button', { type: 'button', className: 'button', onclick }, name);
}
