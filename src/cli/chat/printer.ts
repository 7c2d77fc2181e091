import type { RunEvent } from '../../runs/entry.js';
import { halfAtEnd } from '../../chat/dialects/half-character.js';
import { withoutControls } from '../controls.js';
import { say } from '../say.js';
import type { AnswerEvent } from './answer.js';

export interface Printer {
  print(event: AnswerEvent): void;
  /** Leaves the cursor where the next line begins. */
  end(): void;
}

/** Every event as a line of JSON. */
export class JsonPrinter implements Printer {
  constructor(private readonly output: NodeJS.WriteStream) {}

  print({ type, id, data }: AnswerEvent) {
    this.output.write(`${JSON.stringify({ event: type, id, data })}\n`);
  }

  end() {
    // Every line has its end.
  }
}

/**
 * The text alone; what else the model wants is said beside it. A terminal gets the reasoning too, dimmed,
 * and nothing that could control it.
 */
export class TextPrinter implements Printer {
  private readonly isTerminal: boolean;
  private readonly hasColors: boolean;
  /** What was printed last. */
  private last?: 'text' | 'aside';
  private endsLine = true;
  /** The first half of a character whose other half is in the next event. */
  private half = '';

  constructor(private readonly output: NodeJS.WriteStream) {
    this.isTerminal = output.isTTY;
    this.hasColors = output.isTTY && output.hasColors();
  }

  print(event: RunEvent) {
    if (event.type === 'message' || event.type === 'refusal') {
      this.write('text', event.data.content);
    } else if (this.isTerminal && event.type === 'reasoning') {
      this.write('aside', event.data.content);
    } else if (event.type === 'tool_call') {
      const { name, arguments: piece } = event.data;
      if (this.isTerminal) {
        const start = name === undefined ? '' : `${this.endsLine ? '' : '\n'}${name} `;
        this.write('aside', `${start}${piece}`);
      } else if (name !== undefined) {
        say(`The model calls ${name}.`);
      }
    }
  }

  end() {
    if (!this.endsLine) this.output.write('\n');
    this.endsLine = true;
    this.last = undefined;
  }

  private write(kind: 'text' | 'aside', content: string) {
    let text = this.half + (this.isTerminal ? withoutControls(content) : content);
    this.half = halfAtEnd(text);
    text = text.slice(0, text.length - this.half.length);
    if (text === '') return;
    if (this.last !== undefined && this.last !== kind) this.output.write('\n\n');
    this.last = kind;
    this.endsLine = text.endsWith('\n');
    this.output.write(kind === 'aside' && this.hasColors ? `\u001b[2m${text}\u001b[22m` : text);
  }
}
