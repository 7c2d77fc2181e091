/** A sentence beside the output. */
export function say(sentence: string) {
  process.stderr.write(`${sentence}\n`);
}

/** What only somebody at a terminal wants to know. */
export function sayDimly(sentence: string) {
  if (!process.stderr.isTTY) return;
  say(process.stderr.hasColors() ? `\u001b[2m${sentence}\u001b[22m` : sentence);
}
