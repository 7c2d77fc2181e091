import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { SNIPPETS } from '../../src/playground/public/snippets.js';
import { startInstance, type Instance } from '../support/instances.js';
import { describeWith } from '../support/programs.js';

/** What breaks quoting in one language or another. */
const NASTY = `It's "quoted" \\ \\n $HOME \`id\` $(id) !! %s {0} '''\n"""\t<!-- </script> 😀 \u2028 é`;

/** The official package, as far as the snippet goes: it prints what it is called with. */
const OPENAI_OF_PYTHON = `
import json
class OpenAI:
    def __init__(self, **client):
        self.chat = self.completions = self
        self.client = client
    def create(self, **call):
        print(json.dumps({**self.client, **call}))
        return []
`;

describe('what the playground shows as code', () => {
  let server: Instance;
  let folder: string;

  beforeAll(async () => {
    server = await startInstance({ API_KEYS: 'me:secret' });
    folder = await mkdtemp(join(tmpdir(), 'sluice-snippets-'));
    await writeFile(join(folder, 'openai.py'), OPENAI_OF_PYTHON);
  }, 60_000);
  afterAll(async () => {
    await server.kill();
    await rm(folder, { recursive: true });
  });

  function snippet(name: string, hasKey = true, model: string | undefined = 'demo/echo'): string {
    const messages = [
      { role: 'system' as const, content: 'Be brief.' },
      { role: 'user' as const, content: NASTY },
    ];
    return SNIPPETS.find((one) => one.name === name)!.write({
      base: `http://127.0.0.1:${server.port}/`,
      request: { ...(model && { model }), messages },
      policy: 'grace=120',
      hasKey,
    });
  }

  async function run(program: string, args: string[], code: string): Promise<string> {
    const env = {
      PATH: process.env.PATH,
      SLUICE_API_KEY: 'secret',
      PYTHONPATH: folder,
      NO_PROXY: '*',
    };
    const child = spawn(program, args, { env, timeout: 30_000 });
    child.stdin.end(code);
    const [out, err] = await Promise.all([text(child.stdout), text(child.stderr)]);
    return err.includes('Error') ? err : out;
  }

  describeWith('curl', 'with curl', () => {
    it('is the same request', async () => {
      const events = await run('bash', [], snippet('curl'));
      const deltas = events
        .split('\n')
        .filter((line) => line.startsWith('data: {"content":'))
        .map((line) => (JSON.parse(line.slice('data: '.length)) as { content: string }).content);
      expect(deltas.join('')).toBe(NASTY);
      expect(events).toContain('event: done');
    });
  });

  it('is the same request in JavaScript', async () => {
    const out = await run(process.execPath, ['--input-type=module', '-'], snippet('JavaScript'));
    expect(out).toBe(NASTY);
  });

  describeWith('python3', 'with Python', () => {
    it('is the same request', async () => {
      const called = JSON.parse(await run('python3', ['-'], snippet('Python'))) as object;
      expect(called).toEqual({
        base_url: `http://127.0.0.1:${server.port}/v1`,
        api_key: 'secret',
        model: 'demo/echo',
        messages: [
          { role: 'system', content: 'Be brief.' },
          { role: 'user', content: NASTY },
        ],
        stream: true,
        extra_headers: { 'Sluice-On-Disconnect': 'grace=120' },
      });
    });

    it('names no model where none was chosen, and no key where none is needed', async () => {
      const called = JSON.parse(
        await run('python3', ['-'], snippet('Python', false, '')),
      ) as object;
      expect(called).toMatchObject({ model: null, api_key: 'unused' });
    });
  });

  it('never contains the key', () => {
    for (const { name } of SNIPPETS) expect(snippet(name)).not.toContain('secret');
  });
});
