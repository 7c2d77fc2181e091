import { z } from 'zod';

/*
 * OpenAI's published schemas of what chat completions answer; fields that they do not name may be
 * there. https://github.com/openai/openai-openapi: CreateChatCompletionStreamResponse,
 * CreateChatCompletionResponse, CompletionUsage.
 */

const whole = z.int();

const finishReason = z.enum(['stop', 'length', 'tool_calls', 'content_filter', 'function_call']);

const serviceTier = z.enum(['auto', 'default', 'flex', 'scale', 'priority']).nullable();

const tokenLogprob = z.looseObject({
  token: z.string(),
  logprob: z.number(),
  bytes: z.array(whole).nullable(),
});

const logprobs = z.looseObject({
  content: z.array(tokenLogprob.extend({ top_logprobs: z.array(tokenLogprob) })).nullable(),
  refusal: z.array(tokenLogprob.extend({ top_logprobs: z.array(tokenLogprob) })).nullable(),
});

const usage = z.looseObject({
  prompt_tokens: whole,
  completion_tokens: whole,
  total_tokens: whole,
  prompt_tokens_details: z
    .looseObject({ audio_tokens: whole.optional(), cached_tokens: whole.optional() })
    .optional(),
  completion_tokens_details: z
    .looseObject({
      accepted_prediction_tokens: whole.optional(),
      audio_tokens: whole.optional(),
      reasoning_tokens: whole.optional(),
      rejected_prediction_tokens: whole.optional(),
    })
    .optional(),
});

const functionPiece = z.looseObject({
  name: z.string().optional(),
  arguments: z.string().optional(),
});

export const streamResponse = z.looseObject({
  id: z.string().min(1),
  object: z.literal('chat.completion.chunk'),
  created: whole,
  model: z.string().min(1),
  choices: z.array(
    z.looseObject({
      index: whole,
      delta: z.looseObject({
        role: z.enum(['developer', 'system', 'user', 'assistant', 'tool']).optional(),
        content: z.string().nullish(),
        refusal: z.string().nullish(),
        function_call: functionPiece.optional(),
        tool_calls: z
          .array(
            z.looseObject({
              index: whole,
              id: z.string().optional(),
              type: z.literal('function').optional(),
              function: functionPiece.optional(),
            }),
          )
          .optional(),
      }),
      finish_reason: finishReason.nullable(),
      logprobs: logprobs.nullish(),
    }),
  ),
  service_tier: serviceTier.optional(),
  system_fingerprint: z.string().optional(),
  usage: usage.nullish(),
});

export type StreamResponse = z.infer<typeof streamResponse>;

const functionCall = z.looseObject({ name: z.string(), arguments: z.string() });

export const completionResponse = z.looseObject({
  id: z.string().min(1),
  object: z.literal('chat.completion'),
  created: whole,
  model: z.string().min(1),
  choices: z
    .array(
      z.looseObject({
        index: whole,
        message: z.looseObject({
          role: z.literal('assistant'),
          content: z.string().nullable(),
          refusal: z.string().nullable(),
          function_call: functionCall.optional(),
          tool_calls: z
            .array(
              z.looseObject({
                id: z.string(),
                type: z.literal('function'),
                function: functionCall,
              }),
            )
            .optional(),
        }),
        finish_reason: finishReason,
        logprobs: logprobs.nullable(),
      }),
    )
    .min(1),
  service_tier: serviceTier.optional(),
  system_fingerprint: z.string().optional(),
  usage: usage.optional(),
});
