import { h } from './dom.js';

/** What the demo provider's models are good for, for whoever sees this for the first time. */
const REHEARSALS = [
  ['demo/answer', 'A formatted answer', 'What is this server, and what can it do?'],
  ['demo/long', 'A long answer, to cut the network in', 'Tell me everything, at length.'],
  ['demo/reasoning', 'Reasoning before the answer', 'Think before you answer.'],
  ['demo/tools', 'A tool call', 'What is the weather like?'],
  ['demo/error-mid', 'A failure in mid-answer', 'Start well, and end badly.'],
  ['demo/rate-limit', 'A provider at its limit', 'Are you free?'],
];

/**
 * What is shown before anything was asked.
 * @param {string[]} models
 * @param {(model: string, question: string) => void} onTry
 */
export function intro(models, onTry) {
  const rehearsals = REHEARSALS.filter(([model = '']) => models.includes(model));
  const cards = rehearsals.map(([model = '', title = '', question = '']) =>
    h(
      'li',
      {},
      h(
        'button',
        { type: 'button', onclick: () => onTry(model, question) },
        h('span', {}, title),
        h('code', {}, model),
      ),
    ),
  );
  const element = h(
    'div',
    { className: 'intro' },
    h('h2', {}, 'Watch an answer arrive'),
    h(
      'p',
      {},
      'Write a message below. While it is answered, switch the network off and on again: the answer goes on where it was, to the letter.',
    ),
  );
  if (cards.length > 0)
    element.append(h('h3', {}, 'Or rehearse a situation'), h('ul', {}, ...cards));
  return element;
}
