export interface SseEvent {
  event: string;
  /** The last id seen so far, as EventSource gives it; empty before the first. */
  id: string;
  data: string;
  /** Milliseconds, where this event's block has a `retry`. */
  retry?: number;
}

export interface SseStream {
  events: SseEvent[];
  /** Without the colon. */
  comments: string[];
  /** What follows the last blank line: not an event. Empty when the stream ended cleanly. */
  unterminated: string;
}

/**
 * Parses a complete `text/event-stream` body as EventSource does.
 * https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
 */
export function parseSse(body: string): SseStream {
  const stream: SseStream = { events: [], comments: [], unterminated: '' };
  let id = '';
  let block: { event?: string; data?: string; retry?: number } = {};

  for (const [line, ending] of linesOf(body.replace(/^\ufeff/, ''))) {
    stream.unterminated += line + ending;
    if (ending === '') break;
    if (line === '') {
      const { event, data, retry } = block;
      if (data !== undefined) {
        const named = { event: event || 'message', id, data };
        stream.events.push(retry === undefined ? named : { ...named, retry });
      }
      block = {};
      stream.unterminated = '';
      continue;
    }
    const [, field = '', value = ''] = /^([^:]*)(?:: ?(.*))?$/s.exec(line) ?? [];
    if (field === '') stream.comments.push(line.slice(1));
    else if (field === 'event') block.event = value;
    else if (field === 'data')
      block.data = block.data === undefined ? value : `${block.data}\n${value}`;
    else if (field === 'id' && !value.includes('\0')) id = value;
    else if (field === 'retry' && /^[0-9]+$/.test(value)) block.retry = Number(value);
  }
  return stream;
}

/** A body without its heartbeats: how many there are depends on how quick the machine is. */
export function withoutHeartbeats(body: string): string {
  return body.replaceAll(/^: ping\n\n/gm, '');
}

function* linesOf(text: string): Generator<[line: string, ending: string]> {
  for (const [, line = '', ending = ''] of text.matchAll(/([^\r\n]*)(\r\n|\r|\n|$)/g)) {
    if (line !== '' || ending !== '') yield [line, ending];
  }
}
