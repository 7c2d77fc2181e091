import { anthropicDialect } from './anthropic.dialect.js';
import type { EventDialect, WrittenDialect } from './dialect.js';
import { jsonDialect } from './json.dialect.js';
import { ollamaDialect } from './ollama.dialect.js';
import { openaiDialect } from './openai.dialect.js';
import { plainDialect } from './plain.dialect.js';
import { textDialect } from './text.dialect.js';
import { uiDialect } from './ui.dialect.js';

/** What a request says of how it wants a format. */
export interface FormatOptions {
  /** Whether the client asked for ids to resume from, in forms whose clients may not know them. */
  isResumable: boolean;
}

/** The formats of the native routes that Nest's `@Sse` writes. */
export const EVENT_FORMATS = {
  json: jsonDialect,
  text: textDialect,
} satisfies Record<string, EventDialect>;

/** Those that the response writer writes. */
export const WRITTEN_FORMATS = {
  plain: () => plainDialect,
  anthropic: anthropicDialect,
  openai: ({ isResumable }) => openaiDialect({ includeUsage: true, isResumable }),
  ollama: () => ollamaDialect({ route: 'chat' }),
  ui: () => uiDialect(),
} satisfies Record<string, (options: FormatOptions) => WrittenDialect>;

export type EventFormat = keyof typeof EVENT_FORMATS;
export type WrittenFormat = keyof typeof WRITTEN_FORMATS;
export type Format = EventFormat | WrittenFormat;

export const FORMATS = [
  ...(Object.keys(EVENT_FORMATS) as EventFormat[]),
  ...(Object.keys(WRITTEN_FORMATS) as WrittenFormat[]),
] as const;

export function isWritten(format: Format): format is WrittenFormat {
  return format in WRITTEN_FORMATS;
}
