import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { spawn, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { text } from 'node:stream/consumers';
import { DEMO_MODELS } from '../../src/providers/demo/demo-models.js';
import { answerTo } from '../../src/providers/demo/texts.js';
import { startInstance, type Instance } from '../support/instances.js';
import { pathOf } from '../support/programs.js';

interface Snippet {
  title: string;
  language: 'js' | 'sh' | 'python';
  code: string;
}

/** What a page has and Node 20 has not. */
const BROWSER = "import { EventSource } from 'eventsource';\n";

/** How a snippet is run: it comes in on the standard input. */
const INTERPRETERS: Record<Snippet['language'], [string, ...string[]]> = {
  js: [process.execPath, '--input-type=module', '-'],
  sh: ['sh'],
  python: ['python3', '-'],
};

const README = readFileSync('README.md', 'utf8');
const USE_IT = /\n## Use it\n(.*?)\n## /s.exec(README)![1]!;

/** The snippets of a part, numbered within their headings. */
function snippetsOf(text: string): Snippet[] {
  return text.split(/\n###? /).flatMap((part) => {
    const heading = part.slice(0, part.indexOf('\n'));
    return [...part.matchAll(/^```(js|sh|python)\n(.*?)^```$/gms)].map(
      ([, language, code], at): Snippet => ({
        title: `${heading} (${language}, ${at + 1})`,
        language: language as Snippet['language'],
        code: code!,
      }),
    );
  });
}

/** Why a snippet can't be run on this machine. */
function missing({ language, code }: Snippet): string | undefined {
  if (language === 'sh') {
    const program = ['sh', 'curl'].find((name) => pathOf(name) === undefined);
    return program && `there is no ${program}`;
  }
  if (language === 'js') return undefined;
  if (pathOf('python3') === undefined) return 'there is no python3';
  const [, module = ''] = /^from (\w+) import/m.exec(code) ?? [];
  const { status } = spawnSync('python3', ['-c', `import ${module}`], { stdio: 'ignore' });
  return status === 0 ? undefined : `Python has no package ${module}`;
}

async function run({ language, code }: Snippet, port: number) {
  const [program, ...args] = INTERPRETERS[language];
  const env = { PATH: process.env.PATH, NO_PROXY: '*', PYTHONIOENCODING: 'utf-8' };
  const child = spawn(program, args, { env, timeout: 30_000 });
  const isOfPage = code.includes('new EventSource');
  child.stdin.end(
    (isOfPage ? BROWSER : '') + code.replaceAll('localhost:3000', `localhost:${port}`),
  );
  const ended = new Promise((resolve) => child.once('close', resolve));
  const [out, err] = await Promise.all([text(child.stdout), text(child.stderr)]);
  return { code: await ended, out, err };
}

const ALL = snippetsOf(USE_IT);
/** Those of the other sections that ask a server something, and start none. */
const REQUESTS = snippetsOf(README.replace(USE_IT, '')).filter(
  ({ language, code }) => language === 'sh' && code.startsWith('curl'),
);

describe('the snippets of the README', () => {
  let server: Instance;
  /** All run at once: the answer takes its time. */
  const runs = new Map<Snippet, ReturnType<typeof run>>();

  beforeAll(async () => {
    server = await startInstance({});
    for (const snippet of [...ALL, ...REQUESTS]) {
      if (!missing(snippet)) runs.set(snippet, run(snippet, server.port));
    }
    await Promise.allSettled(runs.values());
  }, 60_000);
  afterAll(() => server.kill());

  it('are found', () => {
    const languages = new Set(ALL.map(({ language }) => language));
    expect([...languages].sort()).toEqual(['js', 'python', 'sh']);
  });

  for (const snippet of ALL) {
    const reason = missing(snippet);
    const title = `print the answer: ${snippet.title}${reason ? ` (skipped: ${reason})` : ''}`;
    (reason ? it.skip : it)(title, async () => {
      const { code, out, err } = await runs.get(snippet)!;

      expect({ code, err }).toEqual({ code: 0, err: '' });
      const question = snippet.code.includes('やっほ') ? 'やっほ' : 'hello';
      const answer = answerTo(question, Object.keys(DEMO_MODELS));
      // Some programs print line by line what they get.
      const printed = out.replaceAll('\n', '');
      if (snippet.code.includes('console.log(message')) expect(printed).toContain(question);
      else if (snippet.language === 'sh') expect(out).toBe(answer);
      else expect(printed).toBe(answer.replaceAll('\n', ''));
    });
  }

  for (const snippet of REQUESTS) {
    const reason = missing(snippet);
    const title = `are answered: ${snippet.title}${reason ? ` (skipped: ${reason})` : ''}`;
    (reason ? it.skip : it)(title, async () => {
      const { code, out } = await runs.get(snippet)!;
      expect(code).toBe(0);
      expect(out).toMatch(/^(event: start|\{"object":)/m);
      expect(out).not.toContain('"error"');
    });
  }
});
