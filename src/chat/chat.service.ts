import { Inject, Injectable } from '@nestjs/common';
import type { Response } from 'express';
import { CONFIG, type Config } from '../config/config.js';
import { ChatError } from '../errors/chat-error.js';
import type { ChatRequest } from '../providers/chat-provider.js';
import { RunsService } from '../runs/runs.service.js';
import type { ChatRequestBody } from './chat-request.schema.js';
import { isClientGone } from './client-gone.js';
import { Viewer } from './viewer.js';

/** Starts runs and lets responses view them. */
@Injectable()
export class ChatService {
  constructor(
    private readonly runs: RunsService,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  /**
   * Starts a run and views it in `response`.
   * @throws {ChatError} when the request can't be a run, or the client is no longer there
   */
  start({ model, stream, ...request }: ChatRequestBody, response: Response): Viewer {
    if (isClientGone(response)) throw new ChatError('cancelled', 'The client left.');
    const run = this.runs.create(model ?? undefined, request as ChatRequest);
    response.setHeader('Sluice-Run-Id', run.id);
    return new Viewer(run, response, {
      heartbeatMs: this.config.HEARTBEAT_MS,
      writeTimeoutMs: this.config.WRITE_TIMEOUT_MS,
    });
  }
}
