import { byId, h, iconButton } from './dom.js';

/** How long a button waits for its second press. */
const CONFIRM_MS = 4_000;

/**
 * @typedef {import('./conversations.js').Conversation} Conversation
 *
 * @typedef {object} Entry what the list shows of a conversation
 * @property {string} id
 * @property {string} title
 * @property {boolean} isCurrent
 * @property {boolean} isAnswering
 *
 * @typedef {object} SidebarActions
 * @property {(id: string) => void} onOpen
 * @property {(id: string, title: string) => void} onRename
 * @property {(id: string, title: string) => void} onDelete
 */

/** The conversations that are kept, to go back to, rename and delete. */
export class SidebarView {
  #list = byId('conversations', HTMLUListElement);
  #shown = '';
  #isRenaming = false;
  #actions;

  /** @param {SidebarActions} actions */
  constructor(actions) {
    this.#actions = actions;
  }

  /**
   * @param {Conversation[]} conversations
   * @param {Conversation} current
   * @param {(conversation: Conversation) => boolean} isAnswering
   */
  show(conversations, current, isAnswering) {
    const entries = conversations.map((one) => ({
      id: one.id,
      title: one.title,
      isCurrent: one.id === current.id,
      isAnswering: isAnswering(one),
    }));
    const shown = JSON.stringify(entries);
    // What is typed, or about to be pressed, is not taken away.
    if (this.#isRenaming || shown === this.#shown) return;
    this.#shown = shown;
    const focused = this.#items().find((item) => item.contains(document.activeElement));
    const place = buttonsOf(focused).findIndex((button) => button === document.activeElement);
    this.#list.replaceChildren(...entries.map((entry) => this.#item(entry)));
    const successor =
      focused && this.#items().find(({ dataset }) => dataset.id === focused.dataset.id);
    // Where its title was being typed, it is the title that is focused again.
    buttonsOf(successor)[Math.max(place, 0)]?.focus();
  }

  #items() {
    return [...this.#list.querySelectorAll('li')];
  }

  /** @param {Entry} entry */
  #item(entry) {
    const { id, title, isCurrent, isAnswering } = entry;
    const open = h(
      'button',
      { type: 'button', className: 'open', dir: 'auto', onclick: () => this.#actions.onOpen(id) },
      title,
    );
    if (isCurrent) open.setAttribute('aria-current', 'true');
    if (isAnswering)
      open.append(
        h(
          'span',
          { className: 'busy' },
          h('span', { className: 'visually-hidden' }, ' (answering)'),
        ),
      );
    const item = h('li', { className: isCurrent ? 'current' : '', 'data-id': id }, open);
    const rename = iconButton('edit', `Rename ${title}`, () => this.#rename(item, entry), {
      isQuiet: true,
    });
    item.append(rename, this.#deleteButton(entry));
    return item;
  }

  /**
   * @param {HTMLElement} item
   * @param {Entry} entry
   */
  #rename(item, { id, title }) {
    const input = h('input', {
      value: title,
      maxLength: 100,
      dir: 'auto',
      'aria-label': 'New title',
    });
    const form = h('form', { className: 'rename' }, input);
    this.#isRenaming = true;
    /** @param {string} newTitle */
    const end = (newTitle) => {
      if (!this.#isRenaming) return;
      this.#isRenaming = false;
      this.#shown = '';
      this.#actions.onRename(id, newTitle.trim() || title);
    };
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      end(input.value);
    });
    input.addEventListener('blur', () => end(input.value));
    input.addEventListener('keydown', (event) => {
      if (event.key !== 'Escape') return;
      // The sidebar would close with it.
      event.preventDefault();
      end(title);
    });
    item.replaceChildren(form);
    input.select();
  }

  /** @param {Entry} entry */
  #deleteButton({ id, title }) {
    const name = `Delete ${title}`;
    const button = iconButton(
      'delete',
      name,
      () => {
        if (button.classList.contains('sure')) {
          this.#actions.onDelete(id, title);
        } else {
          mark(true);
          setTimeout(() => mark(false), CONFIRM_MS);
        }
      },
      { isQuiet: true },
    );
    const label = /** @type {HTMLElement} */ (button.lastElementChild);
    /** @param {boolean} isSure */
    const mark = (isSure) => {
      button.classList.toggle('sure', isSure);
      button.title = isSure ? 'Press again to delete' : name;
      label.textContent = isSure ? 'Delete?' : name;
      label.classList.toggle('visually-hidden', !isSure);
    };
    return button;
  }
}

/** @param {HTMLElement} [item] */
function buttonsOf(item) {
  return [...(item?.querySelectorAll('button') ?? [])];
}
