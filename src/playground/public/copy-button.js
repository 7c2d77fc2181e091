import { iconButton } from './dom.js';

const SHOWN_MS = 1_500;

/**
 * @param {string} name what is copied
 * @param {() => string} text
 */
export function copyButton(name, text) {
  const button = iconButton('copy', name, () => {
    void copy(text()).then((isCopied) => {
      label.textContent = isCopied ? 'Copied' : 'Select and copy it yourself';
      setTimeout(() => (label.textContent = name), SHOWN_MS);
    });
  });
  const label = /** @type {HTMLElement} */ (button.lastElementChild);
  label.setAttribute('aria-live', 'polite');
  return button;
}

/**
 * @param {string} text
 * @returns {Promise<boolean>} whether it could be; only pages of HTTPS and of this machine may
 */
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}
