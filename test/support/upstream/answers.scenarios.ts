import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Exchange, Scenario } from './exchange.js';
import {
  NASTY_TOKENS,
  REASONING_TOKENS,
  REFUSAL_TOKENS,
  TOOL_CALLS,
  bigText,
  textTokens,
} from './texts.js';

const PAUSE_MS = 2;

/** What the plain answers and the faults start with: the role and `count` paced tokens. */
export async function speak(exchange: Exchange, count = exchange.options.tokens): Promise<void> {
  exchange.role();
  await exchange.tokens(textTokens(count), exchange.options.ms ?? PAUSE_MS);
}

/** All bytes of `text`, to be sent in another way. */
export function wholeText(exchange: Exchange): Buffer {
  exchange.head();
  return exchange.capture(() => {
    exchange.role();
    for (const token of textTokens(exchange.options.tokens)) exchange.text(token);
    exchange.finish();
    exchange.usage();
    exchange.done();
  });
}

export const text: Scenario = async (exchange) => {
  await speak(exchange);
  exchange.complete();
};

const azureFilterResults = {
  hate: { filtered: false, severity: 'safe' },
  self_harm: { filtered: false, severity: 'safe' },
  sexual: { filtered: false, severity: 'safe' },
  violence: { filtered: false, severity: 'safe' },
};

const azureFrame = { id: '', object: '', created: 0, model: '' };

/** https://learn.microsoft.com/azure/ai-foundry/openai/concepts/content-streaming */
function asyncFilterFrame(exchange: Exchange): void {
  if (exchange.protocol === 'ollama') return;
  const offset = exchange.request.sent.length;
  const offsets = { check_offset: offset, start_offset: 0, end_offset: offset };
  exchange.chunk({
    ...azureFrame,
    choices: [
      {
        index: 0,
        finish_reason: null,
        content_filter_results: azureFilterResults,
        content_filter_offsets: offsets,
      },
    ],
  });
}

export const answers: Record<string, Scenario> = {
  text,

  slow: async (exchange) => {
    exchange.role();
    await exchange.tokens(textTokens(exchange.options.tokens), exchange.options.ms ?? 100);
    exchange.complete();
  },

  flood: async (exchange) => {
    exchange.role();
    await exchange.tokens(textTokens(exchange.options.tokens ?? 10_000));
    exchange.complete();
  },

  echo: async (exchange) => {
    exchange.role();
    const words = lastUserText(exchange).match(/\s*\S+|\s+$/g) ?? [];
    await exchange.tokens(words, exchange.options.ms ?? PAUSE_MS);
    exchange.complete();
  },

  big: (exchange) => {
    exchange.role();
    exchange.text(bigText(exchange.options.bytes));
    exchange.complete();
  },

  nasty: async (exchange) => {
    exchange.role();
    await exchange.tokens(NASTY_TOKENS, exchange.options.ms ?? PAUSE_MS);
    exchange.complete();
  },

  split: async (exchange) => {
    for (const byte of wholeText(exchange)) {
      exchange.gone.throwIfAborted();
      exchange.raw(Buffer.of(byte));
      await nextTurn();
    }
    exchange.end();
  },

  tools: async (exchange) => {
    exchange.role();
    await exchange.sleep(PAUSE_MS);
    exchange.tools(TOOL_CALLS);
    exchange.complete('tool_calls');
  },

  reasoning: async (exchange) => {
    exchange.role();
    for (const thought of REASONING_TOKENS) {
      await exchange.sleep(exchange.options.ms ?? PAUSE_MS);
      exchange.reasoning(thought);
    }
    await speak(exchange);
    exchange.complete();
  },

  refusal: async (exchange) => {
    exchange.role();
    for (const part of REFUSAL_TOKENS) {
      await exchange.sleep(exchange.options.ms ?? PAUSE_MS);
      exchange.refusal(part);
    }
    exchange.complete();
  },

  'choices-2': async (exchange) => {
    exchange.role(0);
    exchange.role(1);
    for (const token of textTokens(exchange.options.tokens)) {
      await exchange.sleep(exchange.options.ms ?? PAUSE_MS);
      exchange.text(token, 0);
      exchange.text(token.toUpperCase(), 1);
    }
    exchange.finish('stop', { choice: 1 });
    exchange.complete();
  },

  length: async (exchange) => {
    await speak(exchange);
    exchange.complete('length');
  },

  'content-filter': async (exchange) => {
    await speak(exchange, exchange.options.after ?? 3);
    exchange.complete('content_filter');
  },

  'azure-frames': async (exchange) => {
    const prompt = [{ prompt_index: 0, content_filter_results: azureFilterResults }];
    if (exchange.protocol !== 'ollama') {
      exchange.chunk({ ...azureFrame, choices: [], prompt_filter_results: prompt });
    }
    await speak(exchange);
    asyncFilterFrame(exchange);
    exchange.finish();
    asyncFilterFrame(exchange);
    exchange.usage();
    exchange.done();
    exchange.end();
  },

  'finish-with-content': async (exchange) => {
    exchange.role();
    const tokens = textTokens(exchange.options.tokens);
    await exchange.tokens(tokens.slice(0, -1), exchange.options.ms ?? PAUSE_MS);
    exchange.finish('stop', { content: tokens.at(-1) });
    exchange.usage();
    exchange.done();
    exchange.end();
  },

  'no-usage': async (exchange) => {
    exchange.wire.usageAt = 'never';
    await text(exchange);
  },

  'usage-on-finish': async (exchange) => {
    exchange.wire.usageAt = 'finish';
    await text(exchange);
  },

  'refuses-stream-options': async (exchange) => {
    if (exchange.request.body.stream_options === undefined) return text(exchange);
    exchange.error(400, {
      message: 'Unrecognized request argument supplied: stream_options',
      type: 'invalid_request_error',
    });
  },
};

function lastUserText(exchange: Exchange): string {
  const message = exchange.request.body.messages?.filter(({ role }) => role === 'user').at(-1);
  const content = message?.content;
  if (typeof content === 'string') return content;
  if (!Array.isArray(content)) return '';
  return content.map((part: { text?: string }) => part.text ?? '').join('');
}
