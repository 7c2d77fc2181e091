import { Injectable } from '@nestjs/common';
import type { Response } from 'express';
import type { Caller } from '../../access/caller.js';
import type { ChatRequest } from '../../providers/chat-provider.js';
import { UsageEstimator } from '../../runs/usage-estimator.js';
import { AllowedModels } from '../allowed-models.service.js';
import { ChatService } from '../chat.service.js';
import { anthropicDialect } from '../dialects/anthropic.dialect.js';
import { writeResponse, writeWhole } from '../response.writer.js';
import { asksToResume } from '../run-options.js';
import { toChatPrompt, toChatRequest } from './chat-request.js';
import type { MessagesRequest, Prompt } from './messages.schema.js';
import { wholeMessage } from './whole-message.js';

/** Answers requests in Anthropic's form, whichever provider generates. */
@Injectable()
export class MessagesService {
  constructor(
    private readonly chat: ChatService,
    private readonly models: AllowedModels,
    private readonly usage: UsageEstimator,
  ) {}

  /** @throws {ChatError} whatever fails before the first byte */
  async create(body: MessagesRequest, response: Response): Promise<void> {
    const viewer = await this.chat.start(toChatRequest(body), response);
    if (!body.stream) return writeWhole(viewer, response, wholeMessage);
    await viewer.opened();
    const isResumable = asksToResume(response.req);
    writeResponse(viewer, anthropicDialect({ isResumable }), response);
  }

  /**
   * An estimate: only the provider knows how its model counts, and what an image is worth.
   * @throws {ChatError} `permission_denied`
   */
  async countTokens(body: Prompt, caller: Caller): Promise<{ input_tokens: number }> {
    this.models.expect(caller, body.model);
    const prompt = toChatPrompt(body) as Pick<ChatRequest, 'messages'>;
    return { input_tokens: await this.usage.countPrompt(prompt) };
  }
}
