import type { Finding, Verdict } from './finding.js';
import { REMEDIES } from './remedies.js';

const MARKS: Record<Verdict, { mark: string; color: number }> = {
  ok: { mark: '✓', color: 32 },
  warning: { mark: '!', color: 33 },
  problem: { mark: '✗', color: 31 },
};

const INDENT = ' '.repeat(16);

/** What was found, for people. */
export function reportOf(findings: readonly Finding[], hasColors: boolean): string {
  const paint = (code: number, text: string) =>
    hasColors ? `\u001b[${code}m${text}\u001b[0m` : text;
  const lines = findings.flatMap(({ id, verdict, summary, sluice }) => {
    const { mark, color } = MARKS[verdict];
    const line = `${paint(color, mark)} ${id.padEnd(INDENT.length - 2)}${summary}`;
    if (verdict === 'ok') return [line];
    const { nginx, elsewhere } = REMEDIES[id];
    const remedies = { ...(nginx && { nginx }), ...(sluice && { Sluice: sluice }), ...elsewhere };
    const width = Math.max(0, ...Object.keys(remedies).map(({ length }) => length));
    return [
      line,
      ...Object.entries(remedies).map(
        ([where, what], at) =>
          `${INDENT}${paint(at === 0 && nginx ? 1 : 2, `${where.padEnd(width)}  ${what}`)}`,
      ),
    ];
  });
  return `${lines.join('\n')}\n\n${conclusionOf(findings)}\n`;
}

export function isHealthy(findings: readonly Finding[]): boolean {
  return findings.every(({ verdict }) => verdict !== 'problem');
}

function conclusionOf(findings: readonly Finding[]): string {
  const count = (verdict: Verdict) => findings.filter((each) => each.verdict === verdict).length;
  const [problems, warnings] = [count('problem'), count('warning')];
  const also = warnings === 0 ? '' : `, ${warnings} thing${warnings === 1 ? '' : 's'} to look at`;
  if (problems === 0) return `This path is fit for streams${also}.`;
  return `${problems} problem${problems === 1 ? '' : 's'}${also}: this path is not fit for streams.`;
}
