import type { Request } from 'express';
import type { Format } from './dialects/formats.js';

/** The format that a request asks for, by its query or by accepting nothing but plain text. */
export function formatOf({ headers }: Request, asked?: Format): Format {
  return asked ?? (headers.accept?.trim().toLowerCase() === 'text/plain' ? 'plain' : 'json');
}
