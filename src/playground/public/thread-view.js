import { AnswerView } from './answer-view.js';
import { byId, h, iconButton } from './dom.js';

/** Whoever is so near to the end wants to see what comes, in pixels. */
const NEAR_END = 48;

/**
 * @typedef {import('./conversations.js').Conversation} Conversation
 * @typedef {import('./conversations.js').Turn} Turn
 *
 * @typedef {object} ThreadActions
 * @property {(turn: Turn) => void} onAgain
 * @property {(turn: Turn) => void} onEdit
 * @property {(turn: Turn) => void} onKey
 */

/** The turns of the conversation on screen; follows their end until its reader looks elsewhere. */
export class ThreadView {
  #scroller = byId('thread', HTMLElement);
  #turns = byId('turns', HTMLElement);
  #toEnd = byId('to-end', HTMLButtonElement);
  #isAtEnd = true;
  #top = 0;
  /** @type {Map<Turn, AnswerView>} */
  #views = new Map();
  #actions;

  /** @param {ThreadActions} actions */
  constructor(actions) {
    this.#actions = actions;
    this.#scroller.addEventListener('scroll', () => this.#look(), { passive: true });
    const sizes = new ResizeObserver(() => this.#follow());
    sizes.observe(this.#scroller);
    sizes.observe(this.#turns);
    this.#toEnd.addEventListener('click', () => this.toEnd());
  }

  /**
   * @param {Conversation} conversation
   * @param {HTMLElement} intro what is there before anything was asked
   */
  show({ turns }, intro) {
    this.#views.clear();
    this.#turns.replaceChildren(...(turns.length === 0 ? [intro] : []));
    for (const turn of turns) this.#append(turn);
    if (turns.length > 0) this.toEnd();
    else this.#scroller.scrollTop = 0;
  }

  /** @param {Turn} turn */
  add(turn) {
    if (this.#views.size === 0) this.#turns.replaceChildren();
    this.#append(turn);
    this.toEnd();
  }

  /**
   * The turns that are left are the first of those that are shown.
   * @param {Conversation} conversation
   */
  drop({ turns }) {
    for (const [index, turn] of [...this.#views.keys()].entries()) {
      if (index < turns.length) continue;
      this.#views.delete(turn);
      this.#turns.lastElementChild?.remove();
    }
  }

  /** @param {import('./answering.js').Answering} answering */
  update(answering) {
    this.#views.get(answering.turn)?.update(answering.answer, answering);
  }

  /** Shows the end, and what will come there. */
  toEnd() {
    this.#isAtEnd = true;
    this.#follow();
  }

  /** @param {Turn} turn */
  #append(turn) {
    const { onAgain, onEdit, onKey } = this.#actions;
    const view = new AnswerView(turn.answer, {
      onAgain: () => onAgain(turn),
      onKey: () => onKey(turn),
    });
    const question = h(
      'div',
      { className: 'question' },
      h('h2', { className: 'visually-hidden' }, 'Question'),
      h('p', { dir: 'auto' }, turn.question),
      iconButton('edit', 'Edit the question', () => onEdit(turn), { isQuiet: true }),
    );
    this.#views.set(turn, view);
    this.#turns.append(h('article', { className: 'turn' }, question, view.element));
  }

  #look() {
    const { scrollHeight, scrollTop, clientHeight } = this.#scroller;
    const distance = scrollHeight - scrollTop - clientHeight;
    // What has grown since is not the reader's doing; only who goes up looks elsewhere.
    if (scrollTop < this.#top) this.#isAtEnd = distance < 1;
    else if (distance < NEAR_END) this.#isAtEnd = true;
    this.#top = scrollTop;
    // What is there before anything was asked is read from its beginning.
    this.#toEnd.hidden = this.#isAtEnd || this.#views.size === 0;
  }

  #follow() {
    if (this.#isAtEnd) {
      this.#scroller.scrollTop = this.#scroller.scrollHeight;
      this.#top = this.#scroller.scrollTop;
    } else this.#look();
  }
}
