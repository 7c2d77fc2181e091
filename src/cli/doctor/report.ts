import type { Finding, FindingId, Verdict } from './finding.js';
import { REMEDIES, type Remedy } from './remedies.js';

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
  /** Who told of a remedy first: it mends the others too. */
  const told = new Map<Remedy, FindingId>();
  const lines = findings.flatMap(({ id, verdict, summary, sluice }) => {
    const { mark, color } = MARKS[verdict];
    const line = `${paint(color, mark)} ${id.padEnd(INDENT.length - 2)}${summary}`;
    if (verdict === 'ok') return [line];
    const remedy = REMEDIES[id];
    const before = told.get(remedy);
    if (before) return [line, `${INDENT}${paint(2, `What mends ${before} mends this.`)}`];
    told.set(remedy, id);
    const { nginx, elsewhere } = remedy;
    const places = { ...(nginx && { nginx }), ...(sluice && { Sluice: sluice }), ...elsewhere };
    const width = Math.max(0, ...Object.keys(places).map(({ length }) => length));
    const advice = Object.entries(places).map(([where, what]) => {
      const text = `${where.padEnd(width)}  ${what}`;
      return `${INDENT}${where === 'nginx' ? text : paint(2, text)}`;
    });
    return [line, ...advice];
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
