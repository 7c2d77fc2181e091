import { ChatError } from '../errors/chat-error.js';

/**
 * The JSON of something that a provider sent.
 * @throws {ChatError} `provider_malformed`: what could be read can be nested too deeply to be written
 */
export function toJson(value: object): string {
  try {
    return JSON.stringify(value);
  } catch {
    throw new ChatError('provider_malformed', 'The provider sent a chunk nested too deeply.');
  }
}
