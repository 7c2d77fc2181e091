import { z } from 'zod';

/** Where a service is. Paths are put behind it, which a query or a fragment would swallow. */
export const baseUrlSchema = z
  .url({ protocol: /^https?$/, error: 'expected an http or https URL', abort: true })
  .regex(/^[^?#]*$/, { error: 'expected a URL without a query or a fragment' });

/** A line break at its end is what a file with a secret often has, and no header can. */
export const serviceKeySchema = z
  .string()
  .regex(/^[\x21-\x7e]+$/, { error: 'expected a key without spaces or line breaks' });
