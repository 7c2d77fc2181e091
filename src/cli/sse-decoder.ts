import { LineDecoder } from '../providers/http/line-decoder.js';

export interface SseEvent {
  event: string;
  /** The last id so far, as EventSource gives it; empty before the first. */
  id: string;
  data: string;
}

/**
 * Reads server-sent events, however their bytes were split.
 * https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
 */
export class SseDecoder {
  private readonly lines = new LineDecoder((line) => this.take(line));
  private id = '';
  private event = '';
  private data?: string;

  constructor(
    private readonly onEvent: (event: SseEvent) => void,
    /** Gets comments without their colon. */
    private readonly onComment: (comment: string) => void = () => undefined,
  ) {}

  push(bytes: Buffer) {
    this.lines.push(bytes);
  }

  private take(line: string): true {
    if (line === '') {
      const { event, id, data } = this;
      this.event = '';
      this.data = undefined;
      if (data !== undefined) this.onEvent({ event: event || 'message', id, data });
      return true;
    }
    const [, field = '', value = ''] = /^([^:]*)(?:: ?(.*))?$/s.exec(line) ?? [];
    if (field === '') this.onComment(value);
    else if (field === 'event') this.event = value;
    else if (field === 'id') this.id = value;
    else if (field === 'data') {
      this.data = this.data === undefined ? value : `${this.data}\n${value}`;
    }
    return true;
  }
}
