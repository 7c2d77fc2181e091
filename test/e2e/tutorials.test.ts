import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { spawn, spawnSync } from 'node:child_process';
import { startApp, type RunningApp } from '../support/app.js';
import { TEXT, TEXT_TOKENS, startUpstream, type Upstream } from '../support/upstream/index.js';

const hasShell = ['bash', 'curl'].every(
  (tool) => spawnSync(tool, ['--version'], { stdio: 'ignore' }).status === 0,
);
/** On a machine of a developer without bash or curl these are skipped; elsewhere they must run. */
const itInShell = hasShell || process.env.CI === 'true' ? it : it.skip;

let upstream: Upstream;
let server: RunningApp;

beforeAll(async () => {
  upstream = await startUpstream();
  server = await startApp({ OPENAI_BASE_URL: `${upstream.url}/v1`, DEMO: 'on' });
});
afterAll(async () => {
  await server.close();
  await upstream.close();
});

/** Runs a script; `ask <format> <model> <question>` is curl as the tutorials call it. */
function shell(script: string): Promise<{ code: number | null; out: string; err: string }> {
  const ask = `ask() {
    curl -sSN "$URL/v1/chat/stream?format=$1" -H 'content-type: application/json' \\
      -d '{"model":"'"$2"'","messages":[{"role":"user","content":"'"$3"'"}]}'
  }`;
  const child = spawn('bash', ['-c', `${ask}\n${script}`], {
    env: { PATH: process.env.PATH, LC_ALL: 'C.UTF-8', URL: server.url, no_proxy: '*' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const out: Buffer[] = [];
  const err: Buffer[] = [];
  child.stdout.on('data', (bytes: Buffer) => out.push(bytes));
  child.stderr.on('data', (bytes: Buffer) => err.push(bytes));
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) =>
      resolve({ code, out: Buffer.concat(out).toString(), err: Buffer.concat(err).toString() }),
    );
  });
}

describe('a shell loop over format=text', () => {
  /** Prints what follows `data: ` until the end. */
  const PRINT = `while IFS= read -r line; do
    case "$line" in
      'event: done') break ;;
      'data: '*) printf '%s' "\${line#data: }" ;;
    esac
  done`;

  itInShell('prints exactly the text', async () => {
    const question = 'Grüße,  こんにちは — 👩‍👩‍👧‍👦 data: 50% \\\\n of it ';
    const { out, err } = await shell(`ask text echo '${question}' | ${PRINT}`);

    expect(err).toBe('');
    expect(out).toBe(JSON.parse(`"${question}"`));
  });

  itInShell('prints what the demo says, without any provider', async () => {
    const { out } = await shell(`ask text demo/echo 'やっほ' | ${PRINT}`);
    expect(out).toBe('やっほ');
  });

  itInShell('prints line breaks too where it looks at neighbouring data lines', async () => {
    const { out } = await shell(`ask text text hi | {
      previous=
      while IFS= read -r line; do
        case "$line" in
          'event: done') break ;;
          'data: '*) [ "$previous" = data ] && echo; printf '%s' "\${line#data: }"; previous=data ;;
          *) previous= ;;
        esac
      done
    }`);
    expect(out).toBe(TEXT);
  });

  itInShell('shows what an error says', async () => {
    const { code, out, err } = await shell(`ask text error-mid hi | {
      event=
      while IFS= read -r line; do
        case "$line" in
          'event: done') exit 0 ;;
          'event: '*) event="\${line#event: }" ;;
          'data: '*) [ "$event" = error ] && { echo "\${line#data: }" >&2; exit 1; }
            printf '%s' "\${line#data: }" ;;
        esac
      done
    }`);

    expect(code).toBe(1);
    expect(out).toBe(TEXT_TOKENS.slice(0, 3).join(''));
    expect(JSON.parse(err)).toMatchObject({
      code: 'provider_error',
      message: 'The engine is overloaded.',
    });
  });

  itInShell('gets a token when it is generated, and not when all are', async () => {
    let goOn = () => {};
    const seen = new Promise<void>((resolve) => (goOn = resolve));
    upstream.script('held', async (x) => {
      x.role();
      x.text('first');
      await seen;
      x.text(' second');
      x.complete();
    });

    const url = `${server.url}/v1/chat/stream?q=hi&model=held&format=text`;
    const curl = spawn('curl', ['-sN', '--noproxy', '*', url]);
    let out = '';
    for await (const bytes of curl.stdout as AsyncIterable<Buffer>) {
      out += bytes.toString();
      if (out.includes('data: first\n\n')) goOn();
    }
    expect(out).toContain('data:  second\n\n');
  });
});

describe('a reader of format=plain', () => {
  itInShell('is curl alone', async () => {
    const { code, out } = await shell('ask plain text hi');
    expect({ code, out }).toEqual({ code: 0, out: TEXT });
  });

  itInShell('is curl alone, which fails when the text is cut', async () => {
    const { code, out, err } = await shell('ask plain eof-mid hi');

    expect(out).toBe(TEXT_TOKENS.slice(0, 3).join(''));
    // "Partial file": https://curl.se/libcurl/c/libcurl-errors.html
    expect(code).toBe(18);
    expect(err).toContain('curl: (18)');
  });

  async function read(model: string, onText: (text: string) => void) {
    const response = await fetch(`${server.url}/v1/chat/stream?format=plain`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model, messages: [{ role: 'user', content: 'hi' }] }),
    });
    const decoder = new TextDecoder();
    for await (const bytes of response.body! as unknown as AsyncIterable<Uint8Array>) {
      onText(decoder.decode(bytes, { stream: true }));
    }
  }

  it('is a loop over the body of fetch', async () => {
    let out = '';
    await read('text', (text) => (out += text));
    expect(out).toBe(TEXT);
  });

  it('is a loop over the body of fetch, which throws when the text is cut', async () => {
    let out = '';
    await expect(read('eof-mid', (text) => (out += text))).rejects.toThrow();
    expect(out).toBe(TEXT_TOKENS.slice(0, 3).join(''));
  });
});

describe('a page that splits the stream of fetch at blank lines', () => {
  /** What the page would show: the text, then what `event: error` says. */
  async function shown(model: string): Promise<string> {
    const response = await fetch(`${server.url}/v1/chat/stream`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model, messages: [{ role: 'user', content: 'hi' }] }),
    });
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
    let out = '';
    let buffer = '';
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return out;
      buffer += value;
      const events = buffer.split('\n\n');
      buffer = events.pop()!;
      for (const event of events) {
        const name = /^event: (.*)$/m.exec(event)?.[1];
        const data = JSON.parse(/^data: (.*)$/m.exec(event)?.[1] ?? '{}') as {
          content?: string;
          message?: string;
        };
        if (name === undefined) out += data.content ?? '';
        if (name === 'error') out += `[${data.message}]`;
      }
    }
  }

  it('shows the text', async () => {
    expect(await shown('text')).toBe(TEXT);
  });

  it('shows what an error says after the text', async () => {
    const text = TEXT_TOKENS.slice(0, 3).join('');
    expect(await shown('error-mid')).toBe(`${text}[The engine is overloaded.]`);
  });
});
