import { type PipeTransform } from '@nestjs/common';
import type { z } from 'zod';
import { ChatError } from '../errors/chat-error.js';

/** What is nested much deeper can be read as JSON, but not be written again. */
const MAX_DEPTH = 256;

/** Of an object's or an array's. As many messages as there may be have 60,000; checking takes up to a second. */
const MAX_VALUES = 100_000;

/**
 * Ends with the first that is wrong, as zod's own `validate` does, which does not say what it is. Else zod
 * looks for all of it: for minutes, in a body of nothing else.
 */
const FIRST_ISSUE: z.core.ParseContextInternal<z.core.$ZodIssue> = { abortEarly: true };

/**
 * Validates with a zod schema. Not Nest's own pipe, which strips keys such as `constructor`, and
 * with them properties of a caller's tool schemas.
 */
export class SchemaPipe<T> implements PipeTransform<unknown, T> {
  constructor(private readonly schema: z.ZodType<T>) {}

  /** @throws {ChatError} `invalid_request` that names the first bad parameter */
  transform(value: unknown): T {
    expectWithinBounds(value);
    const result = this.schema.safeParse(value, FIRST_ISSUE);
    if (result.success) return result.data;
    const [issue] = result.error.issues;
    const param = issue!.path.join('.');
    // Of what comes here only a body can be of another type.
    const isNoObject = param === '' && issue!.code === 'invalid_type';
    const what = isNoObject ? 'The body must be a JSON object.' : issue!.message;
    const message = param === '' ? what : `${param}: ${what}`;
    throw new ChatError('invalid_request', message, { param: param || undefined });
  }
}

/** @throws {ChatError} `invalid_request` when it is too deep or too much, or has a number that is too large */
function expectWithinBounds(body: unknown) {
  let values = 0;
  const visit = (value: unknown, depth: number) => {
    values += 1;
    if (values > MAX_VALUES) throw invalid(`The body has over ${MAX_VALUES} values.`);
    if (value === Infinity || value === -Infinity) {
      throw invalid('The body has a number that is too large.');
    }
    if (typeof value !== 'object' || value === null) return;
    if (depth === MAX_DEPTH) throw invalid(`The body is nested over ${MAX_DEPTH} levels deep.`);
    for (const each of Array.isArray(value) ? value : Object.values(value)) visit(each, depth + 1);
  };
  visit(body, 0);
}

function invalid(message: string): ChatError {
  return new ChatError('invalid_request', message);
}
