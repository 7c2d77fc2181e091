/**
 * What a request is made of, and where to.
 * @typedef {object} Call
 * @property {string} base the server, with a slash at its end
 * @property {import('./api.js').ChatRequest} request
 * @property {string} policy
 * @property {boolean} hasKey whether the server wants one; it is never in a snippet itself
 */

/** @type {{ name: string, language: string, write: (call: Call) => string }[]} */
export const SNIPPETS = [
  { name: 'curl', language: 'bash', write: curl },
  { name: 'JavaScript', language: 'javascript', write: javascript },
  { name: 'Python', language: 'python', write: python },
];

/** @param {Call} call */
function curl({ base, request, policy, hasKey }) {
  const lines = [
    `curl -N ${shell(`${base}v1/chat/stream`)}`,
    `-H 'Content-Type: application/json'`,
    ...(hasKey ? ['-H "Authorization: Bearer $SLUICE_API_KEY"'] : []),
    `-H ${shell(`Sluice-On-Disconnect: ${policy}`)}`,
    `-d ${shell(JSON.stringify(request, null, 2))}`,
  ];
  return lines.join(' \\\n  ');
}

/** @param {Call} call */
function javascript({ base, request, policy, hasKey }) {
  const key = hasKey ? 'process.env.SLUICE_API_KEY' : `'unused'`;
  return `import OpenAI from 'openai';

const client = new OpenAI({ baseURL: ${JSON.stringify(`${base}v1`)}, apiKey: ${key} });
const stream = await client.chat.completions.create(
  ${indented(JSON.stringify({ ...request, stream: true }, null, 2))},
  { headers: { 'Sluice-On-Disconnect': ${JSON.stringify(policy)} } },
);
for await (const chunk of stream) {
  process.stdout.write(chunk.choices[0]?.delta?.content ?? '');
}`;
}

/** @param {Call} call */
function python({ base, request: { model, messages }, policy, hasKey }) {
  const key = hasKey ? 'os.environ["SLUICE_API_KEY"]' : '"unused"';
  // Strings, lists and objects of strings are written in Python as they are in JSON.
  return `${hasKey ? 'import os\n\n' : ''}from openai import OpenAI

client = OpenAI(base_url=${JSON.stringify(`${base}v1`)}, api_key=${key})
stream = client.chat.completions.create(
    model=${model ? JSON.stringify(model) : 'None'},
    messages=${indented(JSON.stringify(messages, null, 4), 4)},
    stream=True,
    extra_headers={"Sluice-On-Disconnect": ${JSON.stringify(policy)}},
)
for chunk in stream:
    if chunk.choices:
        print(chunk.choices[0].delta.content or "", end="", flush=True)`;
}

/**
 * A shell's single quotes take everything but themselves.
 * @param {string} text
 */
function shell(text) {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

/**
 * @param {string} code
 * @param {number} width
 */
function indented(code, width = 2) {
  return code.replaceAll('\n', `\n${' '.repeat(width)}`);
}
