import { Inject, Injectable } from '@nestjs/common';
import { createHash } from 'node:crypto';
import { RUN_STORE, type ChatLink, type RunStore } from './run-store.js';
import { isActive, type Run } from './run.js';

/** An owner's chat, and the message that a run writes in it. */
export interface Chat {
  /** The owner's own name for it. */
  id: string;
  /** The message that goes on; undefined for a new one. */
  messageId?: string;
}

/** A chat's run that has not ended. */
export interface ActiveChat {
  run: Run;
  messageId?: string;
}

/** Knows which run an owner's chat shows: one at a time. */
@Injectable()
export class ChatsService {
  constructor(@Inject(RUN_STORE) private readonly store: RunStore) {}

  /** Makes a run the chat's own. What the chat generated until now is stopped. */
  async take(run: Run, { id, messageId }: Chat): Promise<void> {
    const link = { runId: run.id, messageId };
    const before = await this.store.linkChat(nameOf(run.owner, id), link);
    // The new answer need not wait for the old one's end.
    if (before && before.runId !== run.id) void this.stop(before).catch(() => undefined);
  }

  /**
   * @returns nothing when the chat has no run that goes on
   * @throws {ChatError} `store_unavailable`
   */
  async active(id: string, owner: string): Promise<ActiveChat | undefined> {
    const link = await this.store.findChat(nameOf(owner, id));
    const run = link && (await this.find(link));
    return run && { run, messageId: link.messageId };
  }

  private async stop(link: ChatLink): Promise<void> {
    await (await this.find(link))?.cancel();
  }

  private async find({ runId }: ChatLink): Promise<Run | undefined> {
    const run = await this.store.find(runId);
    return run && isActive(run) ? run : undefined;
  }
}

/** Owners choose their chats' ids, so that equal ones are the rule. */
function nameOf(owner: string, id: string): string {
  return createHash('sha256')
    .update(JSON.stringify([owner, id]))
    .digest('base64url');
}
