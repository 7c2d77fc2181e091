import { Injectable } from '@nestjs/common';
import type { Request } from 'express';
import { callerOf } from '../access/caller.js';
import { mayAsk } from '../access/may-ask.js';
import { ChatError } from '../errors/chat-error.js';
import { AllowedModels } from './allowed-models.service.js';
import { isServed } from '../routing/route.js';
import { RouterService } from '../routing/router.service.js';
import { isOfAnthropic } from './anthropic/anthropic-version.js';

/** Tells which models there are, in the shape of the API whose client asks. */
@Injectable()
export class ModelsService {
  constructor(
    private readonly models: AllowedModels,
    private readonly router: RouterService,
  ) {}

  list(request: Request) {
    const ids = this.models.list(callerOf(request));
    if (!isOfAnthropic(request)) {
      return { object: 'list', data: ids.map((id) => this.openaiModel(id)) };
    }
    const ends = { first_id: ids[0] ?? null, last_id: ids.at(-1) ?? null };
    // All on one page, whatever the limit: `has_more` is what clients go by.
    return { data: ids.map(anthropicModel), has_more: false, ...ends };
  }

  /**
   * Any that the caller's chats can be sent to a provider for, listed or not.
   * @throws {ChatError} `model_not_found`
   */
  get(id: string, request: Request) {
    if (!this.router.resolve(id).targets.some(isServed) || !mayAsk(callerOf(request), id)) {
      throw new ChatError('model_not_found', `There is no model named ${JSON.stringify(id)}.`);
    }
    return isOfAnthropic(request) ? anthropicModel(id) : this.openaiModel(id);
  }

  private openaiModel(id: string) {
    const { provider } = this.router.resolve(id).targets[0];
    return { id, object: 'model', created: 0, owned_by: provider.name };
  }
}

/** With the epoch for a date that nobody knows, as Anthropic's own API says. */
function anthropicModel(id: string) {
  return { type: 'model', id, display_name: id, created_at: '1970-01-01T00:00:00Z' };
}
