import { ChatError } from '../errors/chat-error.js';

/** What is nested much deeper can be read, and then neither be gone through nor be written again. */
const MAX_DEPTH = 256;

/** @throws {ChatError} `provider_malformed` for what a provider sent that is nested too deeply */
export function expectShallow(value: unknown, json: string) {
  // Each level has a character where it begins, and one where it ends.
  if (json.length < 2 * MAX_DEPTH || !isDeeper(value, MAX_DEPTH)) return;
  throw new ChatError('provider_malformed', 'The provider sent a chunk nested too deeply.');
}

function isDeeper(value: unknown, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return levels === 0 || Object.values(value).some((each) => isDeeper(each, levels - 1));
}
