import { startCli } from './cli.js';

/** What `sluice doctor` says of a path. */
export interface Diagnosis {
  code: number | null;
  healthy: boolean | null;
  error?: string;
  /** What is not well: verdicts by the finding's id. */
  complaints: Record<string, string>;
  findings: Record<string, { summary: string; measured: Record<string, unknown> }>;
}

interface Answer {
  healthy: boolean | null;
  error?: string;
  findings?: {
    id: string;
    verdict: string;
    summary: string;
    measured: Record<string, unknown>;
  }[];
}

/** A server or what stands before it, to be looked at and closed. */
export interface Path {
  url: string;
  close?: () => Promise<unknown>;
  env?: Record<string, string>;
}

/** Has the real command line look at a path, without waiting for a long silence. */
export async function diagnose({ url, env }: Path, ...args: string[]): Promise<Diagnosis> {
  const cli = startCli(['doctor', '--json', '--max-silence', '3', ...args, url], { env });
  const code = await cli.exited;
  if (cli.out === '') throw new Error(cli.err);
  const { healthy, error, findings = [] } = JSON.parse(cli.out) as Answer;
  const ill = findings.filter(({ verdict }) => verdict !== 'ok');
  return {
    code,
    healthy,
    error,
    complaints: Object.fromEntries(ill.map(({ id, verdict }) => [id, verdict])),
    findings: Object.fromEntries(findings.map(({ id, ...finding }) => [id, finding])),
  };
}

/** Looking at a path is mostly waiting: several are looked at while tests wait for the first. */
export class WaitingRoom {
  private readonly patients: (() => Promise<Diagnosis>)[] = [];

  /** @returns what is known of the path once its turn has come */
  admit(start: () => Promise<Path>, ...args: string[]): () => Promise<Diagnosis> {
    let begin: () => void = () => undefined;
    const begun = new Promise<void>((resolve) => (begin = resolve));
    const look = async () => {
      await begun;
      const path = await start();
      try {
        return await diagnose(path, ...args);
      } finally {
        await path.close?.();
      }
    };
    const diagnosis = look();
    this.patients.push(() => {
      begin();
      return diagnosis;
    });
    // Of those whose test is skipped nobody asks.
    diagnosis.catch(() => undefined);
    return () => diagnosis;
  }

  /** Looks at all of them, so many at once. */
  open(doctors: number) {
    const work = async () => {
      for (let next = this.patients.shift(); next; next = this.patients.shift()) {
        await next().catch(() => undefined);
      }
    };
    for (let doctor = 0; doctor < doctors; doctor += 1) void work();
  }
}
