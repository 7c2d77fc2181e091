import { Injectable } from '@nestjs/common';
import type { Response } from 'express';
import { callerOf, type Caller } from '../../access/caller.js';
import { ChatsService } from '../../runs/chats.service.js';
import { ChatService } from '../chat.service.js';
import { uiDialect } from '../dialects/ui.dialect.js';
import { writeResponse } from '../response.writer.js';
import { SchemaPipe } from '../schema.pipe.js';
import { toChatRequest } from './chat-request.js';
import { uiRequestSchema, type StopRequest, type UIMessage } from './ui-request.schema.js';

const uiRequest = new SchemaPipe(uiRequestSchema);

/** Answers the AI SDK's `useChat`. */
@Injectable()
export class UIService {
  constructor(
    private readonly chat: ChatService,
    private readonly chats: ChatsService,
  ) {}

  /** @throws {ChatError} whatever fails before the first byte */
  async send(body: unknown, response: Response): Promise<void> {
    const request = uiRequest.transform(body);
    const messageId = continuedMessage(request.messages);
    const chat = request.id ? { id: request.id, messageId } : undefined;
    const viewer = await this.chat.start(toChatRequest(request), response, chat);
    await viewer.opened();
    writeResponse(viewer, uiDialect(messageId), response);
  }

  /** The whole message that a chat is writing, from its start; 204 when it writes none. */
  async resume(chatId: string, response: Response): Promise<void> {
    const active = await this.chats.active(chatId, callerOf(response.req).owner);
    if (!active) return void response.status(204).end();
    const start = { runId: active.run.id, seq: 0 };
    const viewer = await this.chat.resume(start, response, () => undefined);
    if (viewer) writeResponse(viewer, uiDialect(active.messageId), response);
  }

  /** Stops what a chat is generating; nothing when that is something else by now. */
  async stop(chatId: string, body: StopRequest, { owner }: Caller): Promise<void> {
    const active = await this.chats.active(chatId, owner);
    const wanted = body?.activeStreamId ?? active?.run.id;
    if (active?.run.id === wanted) await active?.run.cancel();
  }
}

/**
 * A page that answered tool calls has the assistant's message go on; under another id it would show
 * two.
 *
 * https://github.com/vercel/ai/blob/main/packages/ai/src/ui-message-stream/get-response-ui-message-id.ts
 */
function continuedMessage(messages: readonly UIMessage[]): string | undefined {
  const last = messages.at(-1);
  return last?.role === 'assistant' ? last.id : undefined;
}
