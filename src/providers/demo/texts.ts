/** Characters of a text that an answer quotes. */
const MAX_QUOTE = 500;

export const SHORT_TEXT =
  'This is the demo provider. It sends tokens as a model would, and no model is paid for them.';

export const THOUGHTS =
  'The developer wants to see how reasoning arrives. First comes the thinking, then the answer.';

export const LONG_TEXT = Array.from(
  { length: 100 },
  (_, index) =>
    `${index + 1}. A long answer shows whether a client scrolls, stays quick and keeps every token as the text grows.\n`,
).join('');

/** Tells a new user, in Markdown, what this is and how to get to a real model. */
export function answerTo(question: string, models: string[]): string {
  const opening = question.trim() === '' ? '' : `You asked:\n\n${quote(question)}\n\n`;
  return `${opening}This is **Sluice** with its **demo** provider, which answers without a model and costs nothing. \
Sluice streams answers from OpenAI, Azure OpenAI, Ollama, or any server that speaks the OpenAI chat API. \
Start it with one of them, and the same request gets a real answer:

\`\`\`sh
OPENAI_API_KEY=sk-... npm start
OLLAMA_MODEL=llama3.2 npm start
AZURE_OPENAI_ENDPOINT=https://... AZURE_OPENAI_API_KEY=... AZURE_OPENAI_DEPLOYMENT=... npm start
\`\`\`

Until then you can rehearse what a client has to cope with, by the name of the \`model\`: \
${models.map((name) => `\`demo/${name}\``).join(', ')}.
`;
}

/** The answer once a tool has returned `result`. */
export function reportOf(result: string): string {
  return `The tool returned:\n\n${quote(result)}\n\nA real model would now answer with it.`;
}

function quote(text: string): string {
  const shown = Array.from(text.slice(0, 2 * MAX_QUOTE))
    .slice(0, MAX_QUOTE)
    .join('');
  const lines = `${shown}${shown.length < text.length ? ' …' : ''}`.split(/\r\n|\r|\n/);
  return lines.map((line) => `> ${line}`).join('\n');
}
