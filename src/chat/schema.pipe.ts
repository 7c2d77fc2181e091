import { type PipeTransform } from '@nestjs/common';
import type { z } from 'zod';
import { ChatError } from '../errors/chat-error.js';

/** What is nested much deeper can be read as JSON, but not be written again. */
const MAX_DEPTH = 256;

/**
 * Validates with a zod schema. Not Nest's own pipe, which strips keys such as `constructor`, and
 * with them properties of a caller's tool schemas.
 */
export class SchemaPipe<T> implements PipeTransform<unknown, T> {
  constructor(private readonly schema: z.ZodType<T>) {}

  /** @throws {ChatError} `invalid_request` that names the first bad parameter */
  transform(value: unknown): T {
    if (isDeeperThan(MAX_DEPTH, value)) {
      throw new ChatError('invalid_request', `The body is nested over ${MAX_DEPTH} levels deep.`);
    }
    const result = this.schema.safeParse(value);
    if (result.success) return result.data;
    const [issue] = result.error.issues;
    const param = issue!.path.join('.');
    const message = param === '' ? issue!.message : `${param}: ${issue!.message}`;
    throw new ChatError('invalid_request', message, { param: param || undefined });
  }
}

function isDeeperThan(levels: number, value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return levels === 0 || Object.values(value).some((each) => isDeeperThan(levels - 1, each));
}
