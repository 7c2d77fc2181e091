import { parseArgs } from 'node:util';
import { explain } from '../explain.js';
import { say, sayDimly } from '../say.js';
import { Server } from '../server.js';
import { UsageError } from '../usage-error.js';
import { examine } from './examine.js';
import { CannotTest, type Finding } from './finding.js';
import { REMEDIES } from './remedies.js';
import { isHealthy, reportOf } from './report.js';

const MAX_SILENCE_SECONDS = 60;
const QUICK_SILENCE_SECONDS = 5;

export const DOCTOR_USAGE = `sluice doctor [options] [url]

Measures the path to a Sluice server through whatever stands between: what buffers, compresses
or cuts streams, and whether a disconnect is passed on. It costs no tokens.

      --max-silence <s>  the longest silence to try, ${MAX_SILENCE_SECONDS} s by default; it takes little longer
      --quick            ${QUICK_SILENCE_SECONDS} s
      --json             the findings as JSON
      --key <key>        an API key, else SLUICE_API_KEY

It ends with 0 when the path is fit for streams, 1 when there is a problem, 2 when it can't tell.`;

const CANNOT_TELL = 2;

/** @returns the exit code */
export async function doctor(args: string[], env: NodeJS.ProcessEnv): Promise<number> {
  const { values: options, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      'max-silence': { type: 'string' },
      quick: { type: 'boolean', default: false },
      json: { type: 'boolean', default: false },
      key: { type: 'string', default: env.SLUICE_API_KEY || undefined },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (options.help) {
    process.stdout.write(`${DOCTOR_USAGE}\n`);
    return 0;
  }
  if (positionals.length > 1) throw new UsageError('One URL at a time.');
  const url = positionals[0] ?? (env.SLUICE_URL || 'http://localhost:3000');
  const server = new Server(url, options.key);
  const seconds = options.quick ? QUICK_SILENCE_SECONDS : secondsOf(options['max-silence']);
  sayDimly(`Measuring the path to ${server.url.href} for about ${Math.max(seconds, 10)} s …`);
  try {
    const findings = await examine(server, seconds * 1_000);
    const output = options.json
      ? `${JSON.stringify(asJson(server, findings), undefined, 2)}\n`
      : reportOf(findings, process.stdout.isTTY && process.stdout.hasColors());
    process.stdout.write(output);
    return isHealthy(findings) ? 0 : 1;
  } catch (error) {
    const message = error instanceof CannotTest ? error.message : explain(error, server);
    if (options.json) {
      const answer = { url: server.url.href, healthy: null, error: message };
      process.stdout.write(`${JSON.stringify(answer, undefined, 2)}\n`);
    }
    say(message);
    return CANNOT_TELL;
  }
}

function asJson({ url }: Server, findings: readonly Finding[]) {
  return {
    url: url.href,
    healthy: isHealthy(findings),
    findings: findings.map(({ sluice, ...finding }) => {
      if (finding.verdict === 'ok') return finding;
      return { ...finding, remedy: { ...REMEDIES[finding.id], ...(sluice && { sluice }) } };
    }),
  };
}

function secondsOf(value = String(MAX_SILENCE_SECONDS)): number {
  const seconds = Number(value);
  if (/^\d+$/.test(value) && seconds >= 1 && seconds <= 600) return seconds;
  throw new UsageError('--max-silence: expected whole seconds from 1 to 600.');
}
