import type { MessageEvent } from '@nestjs/common';
import type { Entry } from '../../runs/entry.js';
import type { Run } from '../../runs/run.js';

/** A wire form that Nest's `@Sse` writes: an entry becomes one event, or none. */
export interface EventDialect {
  readonly toEvent: (entry: Entry, run: Run) => MessageEvent | undefined;
}

/** A wire form that the response writer writes. */
export interface WrittenDialect {
  readonly contentType: string;
  /** What is sent in a silence; nothing where the form has no room for it. */
  readonly heartbeat: string;
  /** How a failure is told: in the form's own words, or by a body that breaks off. */
  readonly onFailure: 'tell' | 'break-off';
  /** An entry's bytes. The terminal entry's are the last ones. */
  readonly encode: (entry: Entry) => string;
}

/** The id of an event: the run and the entry's number. */
export function eventId(run: Run, { seq }: Entry): string {
  return `${run.id}:${seq}`;
}
