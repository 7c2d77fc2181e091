import { beforeAll, describe, expect, it } from '@jest/globals';
import { buildCli, startCli } from '../support/cli.js';

beforeAll(buildCli, 120_000);

async function key(...args: string[]) {
  const cli = startCli(['key', ...args]);
  return { code: await cli.exited, out: cli.out, err: cli.err };
}

describe('sluice key', () => {
  it('makes a key, and its entry for the server', async () => {
    const { code, out } = await key('web');
    expect(code).toBe(0);
    expect(out).toMatch(/^sk-sluice-[\w-]{43}\nweb:sha256:[0-9a-f]{64}\n$/);
  });

  it('shows its help', async () => {
    const { code, out } = await key('--help');
    expect(code).toBe(0);
    expect(out).toMatch(/^sluice key <name>\n/);
  });

  it.each([[['-x']], [['--', '-x']], [['two', 'names']], [['with space']], [[]]])(
    'makes none for %j',
    async (args) => {
      const { code, out, err } = await key(...args);
      expect([code, out]).toEqual([2, '']);
      expect(err).toMatch(/See sluice --help\.\n$/);
    },
  );
});
