import { cancelled, toChatError } from '../../errors/chat-error.js';
import { contentOf, type Entry } from '../../runs/entry.js';
import type { Run } from '../../runs/run.js';
import { endOf, toAnswer, ToolCalls, type OllamaRoute, type Piece } from '../ollama/answer.js';
import type { Encoder, WrittenDialect } from './dialect.js';
import { WholeCharacters } from './half-character.js';

/** What Python's `splitlines()`, which ollama-python reads by, takes for the end of a line and JSON doesn't. */
const LINE_ENDS = /[\u0085\u2028\u2029]/g;

export interface OllamaOptions {
  route: OllamaRoute;
  /** The model's name as the client knows it. Default: as the run does. */
  model?: string;
}

/**
 * Ollama's stream: an object a line, the last with `done`.
 * https://github.com/ollama/ollama/blob/main/docs/api.md#conventions
 */
export function ollamaDialect(options: OllamaOptions): WrittenDialect {
  return {
    headers: { 'Content-Type': 'application/x-ndjson' },
    onFailure: 'tell',
    open: (run) => open(run, options),
  };
}

/**
 * The answer of a completed run as one object.
 * @throws {ChatError} `provider_malformed` when a tool call can't be told
 */
export function wholeAnswer(run: Run, { route, model }: OllamaOptions): object {
  const { entries, terminal } = run.log;
  const toolCalls = new ToolCalls();
  const textOf = (...types: Entry['type'][]) => {
    const said = entries.filter(({ type }) => types.includes(type));
    return new WholeCharacters().next(said.map(contentOf).join(''));
  };
  for (const entry of entries) if (entry.type === 'tool_call') toolCalls.add(entry.data);
  const thinking = textOf('reasoning');
  const { whole: tool_calls } = toolCalls;
  const piece = {
    content: textOf('message', 'refusal'),
    ...(thinking !== '' && { thinking }),
    ...(tool_calls && { tool_calls }),
  };
  const end = endOf(terminal as Entry & { type: 'done' }, run);
  return toAnswer(route, model ?? modelOf(run), run.state.created_at, piece, end);
}

function open(run: Run, { route, model = modelOf(run) }: OllamaOptions): Encoder {
  // The same time on every line, so that a replay has the same bytes.
  const { created_at } = run.state;
  const line = (piece: Piece, end?: object) =>
    lineOf(toAnswer(route, model, created_at, piece, end));
  const said = (as: 'content' | 'thinking', text: string) =>
    text === '' ? '' : line({ [as]: text });
  const toolCalls = new ToolCalls();
  // Python can't print half a character.
  const content = new WholeCharacters();
  const thinking = new WholeCharacters();

  const encode = (entry: Entry): string => {
    switch (entry.type) {
      case 'start':
      case 'delta':
        return '';
      case 'message':
      case 'refusal':
        return said('content', content.next(entry.data.content));
      case 'reasoning':
        return said('thinking', thinking.next(entry.data.content));
      case 'tool_call':
        toolCalls.add(entry.data);
        return '';
      case 'done': {
        const { whole: tool_calls } = toolCalls;
        return (tool_calls ? line({ tool_calls }) : '') + line({}, endOf(entry, run));
      }
      case 'cancelled':
        throw cancelled();
      case 'error':
        throw entry.error;
    }
  };
  return {
    encode: (entry) => {
      try {
        return encode(entry);
      } catch (error) {
        return lineOf({ error: toChatError(error).message });
      }
    },
    // An empty line is no JSON, and ollama-python reads every line as such.
    heartbeat: line({}),
  };
}

function lineOf(object: object): string {
  return `${JSON.stringify(object).replace(LINE_ENDS, escaped)}\n`;
}

function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

function modelOf({ state }: Run): string {
  return state.model ?? state.target;
}
