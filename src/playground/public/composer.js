import { byId, h } from './dom.js';

const OTHER = 'other:';

/** Where a message is written, a model chosen, and an answer stopped. Dispatches `send`, `stop` and `model`. */
export class Composer extends EventTarget {
  #form = byId('composer', HTMLFormElement);
  #message = byId('message', HTMLTextAreaElement);
  #model = byId('model', HTMLSelectElement);
  #other = byId('other-model', HTMLInputElement);
  #button = byId('send', HTMLButtonElement);
  #isAnswering = false;

  constructor() {
    super();
    this.#form.addEventListener('submit', (event) => {
      event.preventDefault();
      this.#submit();
    });
    this.#message.addEventListener('keydown', (event) => {
      if (event.key === 'Escape' && this.#isAnswering) this.dispatchEvent(new Event('stop'));
      // Enter also ends the writing of a word in scripts that are composed.
      if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      if (!this.#isAnswering) this.#submit();
    });
    this.#model.addEventListener('change', () => {
      this.#other.hidden = this.#model.value !== OTHER;
      if (!this.#other.hidden) this.#other.focus();
      this.dispatchEvent(new Event('model'));
    });
    this.#other.addEventListener('input', () => this.dispatchEvent(new Event('model')));
  }

  get text() {
    return this.#message.value;
  }

  set text(text) {
    this.#message.value = text;
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
    const groups = Map.groupBy(models, (name) => name.split('/')[0] ?? '');
    this.#model.replaceChildren(
      h('option', { value: '' }, 'Default model'),
      ...[...groups].map(([name, members]) =>
        h('optgroup', { label: name }, ...members.map((value) => h('option', { value }, value))),
      ),
      h('option', { value: OTHER }, 'Another model…'),
    );
    this.model = model;
  }

  #submit() {
    if (this.#isAnswering) this.dispatchEvent(new Event('stop'));
    else if (this.text.trim() !== '') this.dispatchEvent(new Event('send'));
  }
}
