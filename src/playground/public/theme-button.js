import { byId } from './dom.js';

const THEMES = ['system', 'light', 'dark'];

/** @param {import('./preferences.js').Preferences} preferences */
export function setUpThemeButton(preferences) {
  const button = byId('theme', HTMLButtonElement);
  const show = () => {
    document.documentElement.dataset.theme = preferences.theme;
    button.querySelector('span')?.replaceChildren(`Theme: ${preferences.theme}`);
  };
  button.addEventListener('click', () => {
    preferences.theme = THEMES[(THEMES.indexOf(preferences.theme) + 1) % THEMES.length] ?? 'system';
    show();
  });
  show();
}
