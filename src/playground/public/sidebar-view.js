import { byId, h, iconButton } from './dom.js';

/** How long a button waits for its second press. */
const CONFIRM_MS = 4_000;

/**
 * @typedef {import('./conversations.js').Conversation} Conversation
 *
 * @typedef {object} SidebarActions
 * @property {(conversation: Conversation) => void} onOpen
 * @property {(conversation: Conversation, title: string) => void} onRename
 * @property {(conversation: Conversation) => void} onDelete
 */

/** The conversations that are kept, to go back to, rename and delete. */
export class SidebarView {
  #list = byId('conversations', HTMLUListElement);
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
    this.#list.replaceChildren(
      ...conversations.map((one) => this.#item(one, one.id === current.id, isAnswering(one))),
    );
  }

  /**
   * @param {Conversation} conversation
   * @param {boolean} isCurrent
   * @param {boolean} isAnswering
   */
  #item(conversation, isCurrent, isAnswering) {
    const { onOpen } = this.#actions;
    const title = h(
      'button',
      { type: 'button', className: 'open', onclick: () => onOpen(conversation) },
      conversation.title,
    );
    if (isCurrent) title.setAttribute('aria-current', 'true');
    if (isAnswering)
      title.append(
        h(
          'span',
          { className: 'busy' },
          h('span', { className: 'visually-hidden' }, ' (answering)'),
        ),
      );
    const item = h('li', { className: isCurrent ? 'current' : '' }, title);
    const rename = iconButton(
      'edit',
      `Rename ${conversation.title}`,
      () => this.#rename(item, conversation),
      { isQuiet: true },
    );
    item.append(rename, this.#deleteButton(conversation));
    return item;
  }

  /**
   * @param {HTMLElement} item
   * @param {Conversation} conversation
   */
  #rename(item, conversation) {
    const input = h('input', {
      value: conversation.title,
      maxLength: 100,
      'aria-label': 'New title',
    });
    const form = h('form', { className: 'rename' }, input);
    let isOver = false;
    /** @param {string} title */
    const end = (title) => {
      if (isOver) return;
      isOver = true;
      this.#actions.onRename(conversation, title.trim() || conversation.title);
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
      end(conversation.title);
    });
    item.replaceChildren(form);
    input.select();
  }

  /** @param {Conversation} conversation */
  #deleteButton(conversation) {
    const name = `Delete ${conversation.title}`;
    const button = iconButton(
      'delete',
      name,
      () => {
        if (button.classList.contains('sure')) {
          this.#actions.onDelete(conversation);
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
