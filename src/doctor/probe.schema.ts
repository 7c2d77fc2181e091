import { z } from 'zod';
import { wholeText } from '../config/file/numbers.js';

const MAX_MS = 600_000;
const MAX_BYTES = 4_096;

/** What a whole probe may send: it waits in memory when the client does not read. */
const MAX_TOTAL_BYTES = 2 ** 20;

/** What a probe sends: something every so often, for so long, and then an end. */
export const probeSchema = z
  .object({
    id: z.string().regex(/^[\w-]{8,64}$/, { error: 'expected 8 to 64 letters, digits, - or _' }),
    every_ms: wholeText(10, MAX_MS),
    for_ms: wholeText(0, MAX_MS),
    bytes: wholeText(0, MAX_BYTES)
      .default(0)
      .describe('What each event has beside its own time, in bytes that do not compress.'),
    as: z.enum(['event', 'comment']).default('event'),
    hint: z
      .enum(['on', 'off'])
      .default('on')
      .describe('Whether X-Accel-Buffering asks proxies not to buffer.'),
  })
  .refine(({ every_ms, for_ms, bytes }) => (for_ms / every_ms) * (bytes + 64) < MAX_TOTAL_BYTES, {
    error: `expected a probe of less than ${MAX_TOTAL_BYTES} bytes`,
  });

export type ProbePlan = z.infer<typeof probeSchema>;
