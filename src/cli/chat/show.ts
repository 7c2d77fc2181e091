import { constants } from 'node:os';
import { isTerminal, type Terminal, type Usage } from '../../runs/entry.js';
import { say, sayDimly } from '../say.js';
import { GRACE_SECONDS, type Answer } from './answer.js';
import type { Printer } from './printer.js';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

export interface Shown {
  text: string;
  /** Undefined when the answer was left before it ended. */
  end?: Terminal;
  /** The signal by which the user stopped it. */
  stoppedBy?: (typeof SIGNALS)[number];
}

/**
 * Prints an answer as it comes. Ctrl-C stops its generation; a second one ends the process.
 * @throws what the answer's events do
 */
export async function show(answer: Answer, printer: Printer, maxTokens?: number): Promise<Shown> {
  const shown: Shown = { text: '' };
  const askedAt = performance.now();
  let firstAt: number | undefined;
  let model = '';

  const stop = (signal: NodeJS.Signals) => {
    if (shown.stoppedBy !== undefined) {
      say(`Left. The server stops by itself within ${GRACE_SECONDS} seconds.`);
      process.exit(128 + constants.signals[signal]);
    }
    shown.stoppedBy = signal as Shown['stoppedBy'];
    // Before the first token the run has no name yet by which it could be stopped.
    if (firstAt === undefined) say('Stopping …');
    answer.stop().catch(() => {
      say(`The server can't be told. It stops by itself after ${GRACE_SECONDS} seconds.`);
      answer.leave();
    });
  };
  for (const signal of SIGNALS) process.on(signal, stop);
  try {
    for await (const event of answer.events()) {
      if (event.type === 'start') ({ model } = event.data);
      else firstAt ??= performance.now();
      if (isTerminal(event)) shown.end = event;
      else if (shown.stoppedBy !== undefined) continue;
      if (event.type === 'message') shown.text += event.data.content;
      printer.print(event);
    }
  } finally {
    printer.end();
    for (const signal of SIGNALS) process.off(signal, stop);
  }
  tell(shown, maxTokens);
  if (shown.end?.type === 'done' && shown.stoppedBy === undefined) {
    sayDimly(figures(model, shown.end.data.usage, askedAt, firstAt ?? askedAt));
  }
  return shown;
}

/** Says what is to be known of an answer's end beside its text. */
function tell({ end, stoppedBy }: Shown, maxTokens?: number) {
  if (end?.type === 'error') {
    say(`${end.data.message} (${end.data.code})${end.data.retryable ? ' Try again.' : ''}`);
  } else if (end?.type === 'cancelled') {
    say(stoppedBy ? saved(end.data.usage, maxTokens) : 'The run was stopped.');
  } else if (end?.type === 'done' && stoppedBy) {
    say('Stopped, but all of the answer had been generated.');
  } else if (end?.type === 'done' && end.data.finish_reason === 'length') {
    say('The answer is cut off: it has as many tokens as it may have.');
  } else if (end?.type === 'done' && end.data.finish_reason === 'content_filter') {
    say("The answer is cut off by the provider's content filter.");
  }
}

/** How long the rest would have been nobody knows, except where there is a limit. */
function saved(usage: Usage | null, maxTokens?: number): string {
  if (usage === null) return 'Stopped. The rest was not generated.';
  const { completion_tokens: tokens, source } = usage;
  const count = `${source === 'estimated' ? 'about ' : ''}${tokens} token${tokens === 1 ? '' : 's'}`;
  const rest =
    maxTokens === undefined
      ? 'The rest, however long, was not generated.'
      : `That saved up to ${Math.max(0, maxTokens - tokens)} tokens of the ${maxTokens} it might have had.`;
  return `Stopped after ${count}. ${rest}`;
}

function figures(model: string, usage: Usage | null, askedAt: number, firstAt: number): string {
  const tokens = usage?.completion_tokens ?? 0;
  const seconds = (performance.now() - firstAt) / 1000;
  return [
    model,
    `${tokens} tokens`,
    `first after ${((firstAt - askedAt) / 1000).toFixed(2)} s`,
    ...(seconds > 0.1 ? [`${Math.round(tokens / seconds)} tokens/s`] : []),
  ].join(' · ');
}
