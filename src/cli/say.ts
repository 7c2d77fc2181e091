import { withoutControls } from './controls.js';

/** A sentence beside the output; parts of it may come from a server or a model. */
export function say(sentence: string) {
  process.stderr.write(`${withoutControls(sentence)}\n`);
}

/** What only somebody at a terminal wants to know. */
export function sayDimly(sentence: string) {
  if (!process.stderr.isTTY) return;
  const text = withoutControls(sentence);
  process.stderr.write(process.stderr.hasColors() ? `\u001b[2m${text}\u001b[22m\n` : `${text}\n`);
}
