import { byId, h } from './dom.js';

const OTHER = 'other:';

/**
 * Where a message is written, a model chosen, and an answer stopped. Dispatches `send`, `stop`, `model`
 * and, when an earlier message is not to be replaced any more, `keep`.
 */
export class Composer extends EventTarget {
  #form = byId('composer', HTMLFormElement);
  #message = byId('message', HTMLTextAreaElement);
  #model = byId('model', HTMLSelectElement);
  #other = byId('other-model', HTMLInputElement);
  #button = byId('send', HTMLButtonElement);
  #editing = byId('editing', HTMLElement);
  #isAnswering = false;

  constructor() {
    super();
    this.#form.addEventListener('submit', (event) => {
      event.preventDefault();
      this.#submit();
    });
    this.#message.addEventListener('keydown', (event) => {
      // Both keys also end the writing of a word in scripts that are composed, and Safari has ended it
      // before it tells of the key: https://bugs.webkit.org/show_bug.cgi?id=165004
      // eslint-disable-next-line @typescript-eslint/no-deprecated -- nothing else tells it there
      if (event.isComposing || event.keyCode === 229) return;
      if (event.key === 'Escape') this.#escape();
      if (event.key !== 'Enter' || event.shiftKey) return;
      event.preventDefault();
      if (!this.#isAnswering) this.#submit();
    });
    this.#model.addEventListener('change', () => {
      this.#other.hidden = this.#model.value !== OTHER;
      if (!this.#other.hidden) this.#other.focus();
      this.dispatchEvent(new Event('model'));
    });
    byId('cancel-editing', HTMLButtonElement).addEventListener('click', () => this.#escape());
    this.#message.addEventListener('input', () => this.#fit());
    this.#other.addEventListener('input', () => this.dispatchEvent(new Event('model')));
  }

  get text() {
    return this.#message.value;
  }

  set text(text) {
    this.#message.value = text;
    this.#fit();
  }

  /** @param {boolean} isEditing whether an earlier message is being replaced */
  set isEditing(isEditing) {
    this.#editing.hidden = !isEditing;
  }

  get model() {
    return this.#other.hidden ? this.#model.value : this.#other.value.trim();
  }

  set model(model) {
    const isListed = [...this.#model.options].some(({ value }) => value === model);
    this.#model.value = isListed ? model : OTHER;
    this.#other.hidden = isListed;
    this.#other.value = isListed ? '' : model;
  }

  /** @param {boolean} isAnswering whether the button stops instead of sending */
  set isAnswering(isAnswering) {
    // A button that changes between press and release is not clicked.
    if (isAnswering === this.#isAnswering) return;
    this.#isAnswering = isAnswering;
    const name = isAnswering ? 'Stop' : 'Send';
    this.#button.title = name;
    this.#button.classList.toggle('stop', isAnswering);
    this.#button.querySelector('use')?.setAttribute('href', `#icon-${name.toLowerCase()}`);
    this.#button.querySelector('span')?.replaceChildren(name);
  }

  focus() {
    this.#message.focus();
  }

  /** @param {string[]} models */
  offer(models) {
    const { model } = this;
    const option = (/** @type {string} */ value) => h('option', { value }, value);
    const groups = Map.groupBy(models, (name) => name.split('/')[0] ?? '');
    this.#model.replaceChildren(
      h('option', { value: '' }, 'Default model'),
      ...[...groups].map(([label, members]) =>
        members.length > 1 ? h('optgroup', { label }, ...members.map(option)) : option(label),
      ),
      h('option', { value: OTHER }, 'Another model…'),
    );
    this.model = model;
  }

  /** Which models there are can't be known. */
  offerNone() {
    this.#model.options[0]?.replaceChildren('Default model (the others can’t be listed)');
  }

  #escape() {
    if (!this.#editing.hidden) this.dispatchEvent(new Event('keep'));
    else if (this.#isAnswering) this.dispatchEvent(new Event('stop'));
  }

  /** The message's field grows with it, also where styles can't let it. */
  #fit() {
    if (CSS.supports('field-sizing', 'content')) return;
    this.#message.style.blockSize = 'auto';
    this.#message.style.blockSize = `${this.#message.scrollHeight}px`;
  }

  #submit() {
    if (this.#isAnswering) this.dispatchEvent(new Event('stop'));
    else if (this.text.trim() !== '' && this.#hasModel()) this.dispatchEvent(new Event('send'));
  }

  /** Whether another model, where it is chosen, is named; asks for its name if not. */
  #hasModel() {
    return this.#other.hidden || this.#other.reportValidity();
  }
}
