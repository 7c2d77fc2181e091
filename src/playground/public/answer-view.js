import { asTime } from './as-time.js';
import { copyButton } from './copy-button.js';
import { h, icon, iconButton } from './dom.js';
import { failureCard } from './failure-card.js';
import { countOf, tokensOf } from './figures-view.js';
import { MarkdownView } from './markdown-view.js';

/**
 * @typedef {import('./answer.js').Answer} Answer
 * @typedef {import('./answering.js').Answering} Answering
 *
 * @typedef {object} Actions
 * @property {() => void} onAgain
 * @property {() => void} onKey
 */

/** Ends that are not simply the end. */
const FINISHES = new Map([
  ['length', 'cut off at its length limit'],
  ['content_filter', 'held back by a content filter'],
  ['tool_calls', 'waits for a tool'],
]);

/** One answer on the page, while it grows and after. */
export class AnswerView {
  #markdown = new MarkdownView();
  #reasoning = h('details', { className: 'reasoning', hidden: true });
  #reasoningTitle = h('summary');
  #reasoningText = h('p', { dir: 'auto' });
  #refusal = h('p', { className: 'refusal', dir: 'auto', hidden: true });
  #calls = h('div', { className: 'calls', hidden: true });
  #notice = h('p', { className: 'notice' });
  #end = h('div', { className: 'end' });
  #actions;

  /**
   * @param {Answer} answer
   * @param {Actions} actions
   */
  constructor(answer, actions) {
    this.#actions = actions;
    this.#reasoning.append(this.#reasoningTitle, this.#reasoningText);
    this.element = h(
      'div',
      { className: 'answer' },
      h('h2', { className: 'visually-hidden' }, 'Answer'),
      this.#reasoning,
      this.#markdown.element,
      this.#refusal,
      this.#calls,
      this.#notice,
      this.#end,
    );
    this.update(answer);
  }

  /**
   * @param {Answer} answer
   * @param {Answering} [answering] while there is more to come
   */
  update(answer, answering) {
    const isWhole = answer.status !== 'pending';
    this.element.classList.toggle('growing', !isWhole && answering?.connection === 'open');
    this.element.setAttribute('aria-busy', String(!isWhole));
    const isShown = this.#markdown.update(answer.text, isWhole);
    this.#showReasoning(answer);
    this.#refusal.hidden = answer.refusal === '';
    this.#refusal.textContent = answer.refusal;
    this.#showCalls(answer);
    this.#showNotice(answer, answering);
    if (isWhole && isShown) this.#showEnd(answer);
    if (isWhole && !isShown) requestAnimationFrame(() => this.update(answer));
  }

  /** @param {Answer} answer */
  #showReasoning({ reasoning, text, status }) {
    if (reasoning === '') return;
    this.#reasoning.hidden = false;
    const isThinking = text === '' && status === 'pending';
    const title = isThinking ? 'Thinking…' : 'Reasoning';
    if (this.#reasoningTitle.textContent !== title) this.#reasoningTitle.textContent = title;
    this.#reasoningText.append(reasoning.slice(this.#reasoningText.textContent.length));
  }

  /** @param {Answer} answer */
  #showCalls({ toolCalls }) {
    this.#calls.hidden = toolCalls.length === 0;
    toolCalls.forEach((call, index) => {
      const card = this.#calls.children.item(index) ?? this.#calls.appendChild(callCard());
      const [name, json] = card.querySelectorAll('code');
      if (name) name.textContent = call.name;
      if (json) json.textContent = pretty(call.arguments);
    });
  }

  /**
   * @param {Answer} answer
   * @param {Answering} [answering]
   */
  #showNotice(answer, answering) {
    const { status, text, reasoning, toolCalls } = answer;
    let notice = '';
    if (status === 'pending') {
      const isEmpty = text === '' && reasoning === '' && toolCalls.length === 0;
      const connection = answering?.connection ?? 'connecting';
      if (connection === 'off') notice = `The network is off. ${whatNow(answer)}`;
      else if (connection === 'lost') notice = 'The connection is lost. Looking for it again…';
      else if (isEmpty) notice = 'Waiting for the first token…';
    }
    if (this.#notice.textContent !== notice) this.#notice.textContent = notice;
    this.#notice.classList.toggle('lost', /is (off|lost)/.test(notice));
  }

  /** @param {Answer} answer */
  #showEnd(answer) {
    const { status, failure, toolCalls, text } = answer;
    const parts = [];
    if (status === 'failed' && failure) parts.push(failureCard(failure, this.#actions));
    const footer = h('footer', {}, h('span', {}, summaryOf(answer)));
    const buttons = h('span', { className: 'actions' });
    if (text !== '') buttons.append(copyButton('Copy', () => answer.text));
    if (status !== 'failed' && toolCalls.length === 0) {
      const again = iconButton('again', 'Ask again', this.#actions.onAgain);
      again.classList.add('again');
      buttons.append(again);
    }
    footer.append(buttons);
    this.#end.replaceChildren(...parts, footer);
  }
}

function callCard() {
  const title = h('summary', {}, icon('tool'), ' Calls ', h('code'));
  return h(
    'details',
    { className: 'call', open: true },
    title,
    h('pre', { tabIndex: 0 }, h('code')),
  );
}

/** @param {string} json as far as it came */
function pretty(json) {
  try {
    return JSON.stringify(JSON.parse(json), null, 2);
  } catch {
    return json;
  }
}

/** @param {Answer} answer */
function whatNow({ policy, cursor }) {
  if (cursor.sentAt === 0) return 'Your message is sent once it is on again.';
  if (policy === 'cancel') return 'The server has stopped the answer, as you set it.';
  if (policy === 'continue') return 'The server goes on writing, and keeps it for you.';
  return 'The server goes on writing, and waits for you, for up to two minutes.';
}

/** @param {Answer} answer */
function summaryOf(answer) {
  const { status, model, figures, finishReason = '', resumes } = answer;
  const parts = [model || 'Default model'];
  if (figures.tokens > 0) parts.push(tokensOf(countOf(answer)));
  if (figures.lastAt) parts.push(asTime(figures.lastAt - figures.askedAt));
  if (status === 'stopped') parts.push('stopped');
  const finish = FINISHES.get(finishReason);
  if (finish) parts.push(finish);
  if (resumes > 0)
    parts.push(`resumed ${resumes === 1 ? 'once' : `${resumes} times`}, nothing lost`);
  return parts.join(' · ');
}
