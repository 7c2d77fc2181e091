import type { MessageEvent } from '@nestjs/common';
import type { Entry } from '../../runs/entry.js';
import type { Run } from '../../runs/run.js';

/** A wire form that Nest's `@Sse` writes: an entry becomes one event, or none. */
export interface EventDialect {
  readonly toEvent: (entry: Entry, run: Run) => MessageEvent | undefined;
}

/** Turns a run's entries into bytes for one response. */
export interface Encoder {
  /**
   * An entry's bytes; those of the terminal entry are the last. Gets every entry of the run from
   * the first, also those before a cursor, of which the bytes are not sent.
   * @param framesSeen frames at its beginning to leave out, in forms that number them
   */
  encode(entry: Entry, framesSeen?: number): string;
  /** What is sent in a silence; nothing where the form has no room for it. */
  readonly heartbeat: string;
}

/** A wire form that the response writer writes. */
export interface WrittenDialect {
  /** Headers of a stream in this form, with its content type. */
  readonly headers: Readonly<Record<string, string>>;
  /** How a failure is told: in the form's own words, or by a body that breaks off. */
  readonly onFailure: 'tell' | 'break-off';
  /** @param run whose entries are encoded */
  open(run: Run): Encoder;
}

/** The id of an event: the run and the entry's number. */
export function eventId(run: Run, { seq }: Entry): string {
  return `${run.id}:${seq}`;
}

/**
 * The frames of an entry, each with its id. The last one's is the entry's; up to there it is the id of the
 * entry before, and how many frames came after it.
 */
export function identified(frames: readonly string[], run: Run, entry: Entry): string[] {
  const { seq } = entry;
  return frames.map((frame, at) => {
    const isLast = at === frames.length - 1;
    const id = isLast ? eventId(run, entry) : `${run.id}:${seq - 1}.${at + 1}`;
    return `id: ${id}\n${frame}`;
  });
}
