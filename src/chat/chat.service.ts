import { Inject, Injectable } from '@nestjs/common';
import type { Response } from 'express';
import { callerOf } from '../access/caller.js';
import { ticketOf, Tickets, type Ticket } from '../access/tickets/tickets.service.js';
import { CONFIG, type Config } from '../config/config.js';
import { ChatError } from '../errors/chat-error.js';
import { traceOf } from '../http/request.telemetry.js';
import type { ChatRequest } from '../providers/chat-provider.js';
import { ChatsService, type Chat } from '../runs/chats.service.js';
import { RouterService } from '../routing/router.service.js';
import type { Run } from '../runs/run.js';
import { RunsService } from '../runs/runs.service.js';
import { Metrics } from '../telemetry/metrics.js';
import { AllowedModels } from './allowed-models.service.js';
import type { ChatRequestBody } from './chat-request.schema.js';
import { isClientGone } from './client-gone.js';
import type { Cursor } from './cursor.js';
import { setRateLimits } from './rate-limit-headers.js';
import { Revocation } from './revocation.service.js';
import { runOptions } from './run-options.js';
import { Viewer } from './viewer.js';

/** Lets responses view runs, which it starts or finds. */
@Injectable()
export class ChatService {
  constructor(
    private readonly runs: RunsService,
    private readonly chats: ChatsService,
    private readonly router: RouterService,
    private readonly metrics: Metrics,
    private readonly models: AllowedModels,
    private readonly tickets: Tickets,
    private readonly revocation: Revocation,
    @Inject(CONFIG) private readonly config: Config,
  ) {}

  /**
   * Views a new run, or the one that this request's idempotency key stands for.
   * @param chat the chat that the run belongs to; a new one stops the one before
   * @throws {ChatError} when the request can't be a run, or the client is no longer there
   */
  async start(
    { model, stream, ...request }: ChatRequestBody,
    response: Response,
    chat?: Chat,
  ): Promise<Viewer> {
    const caller = callerOf(response.req);
    this.models.expect(caller, model);
    const ticket = ticketOf(response.req);
    if (ticket?.runId !== undefined) {
      if (!ticket.hasStarted) throw ofAnotherRun();
      // Once its run is gone, a ticket starts no other.
      await this.runs.get(ticket.runId, caller.owner);
    }
    const { run, isNew } = await this.runs.start({
      caller,
      requestId: String(response.getHeader('X-Request-Id')),
      trace: traceOf(response.req),
      model: model ?? undefined,
      request: request as ChatRequest,
      onLimits: (limits) => setRateLimits(response, limits),
      ...runOptions(response.req, this.config),
      ...(ticket && { idempotencyKey: `ticket ${ticket.id}`, isOnce: true }),
    });
    // Viewed first: whoever else views the run can leave meanwhile, and would end it.
    const viewer = this.view(run, response);
    if (ticket) await this.tickets.bind({ ...ticket, hasStarted: true }, run.id);
    if (chat && isNew) await this.chats.take(run, chat);
    return this.admit(viewer, response);
  }

  /**
   * Views a run after a cursor.
   * @param expectFit throws when the response can't show that run
   * @returns nothing when the cursor has seen the run's end
   * @throws {ChatError} `run_not_found`, `resume_gap`, `store_unavailable`, or `invalid_request` for
   *   a cursor that is ahead of the run
   */
  async resume(
    { runId, seq, frames }: Cursor,
    response: Response,
    expectFit: (run: Run) => void,
  ): Promise<Viewer | undefined> {
    const run = await this.runs.get(runId, callerOf(response.req).owner);
    const ticket = ticketOf(response.req);
    if (ticket) await this.admitTo(run, ticket);
    expectFit(run);
    const place = run.locate(seq);
    if (place === 'ahead') {
      throw new ChatError('invalid_request', `The run has no event ${seq} yet.`);
    }
    return place === 'end'
      ? undefined
      : this.admit(this.view(run, response, seq, frames), response);
  }

  /**
   * A ticket is for one run: the one that it started, or was first used to view.
   * @throws {ChatError} `run_not_found`
   */
  private async admitTo({ id }: Run, ticket: Ticket): Promise<void> {
    if (ticket.runId !== undefined && ticket.runId !== id) throw ofAnotherRun();
    await this.tickets.bind(ticket, id);
  }

  /** @throws {ChatError} `resume_gap` */
  private view(run: Run, response: Response, seq?: number, frames?: number): Viewer {
    if (!run.isKept) throw new ChatError('resume_gap', "The run's events are no longer kept.");
    const { timeouts } = this.router.resolve(run.model ?? undefined);
    const options = { heartbeatMs: this.config.HEARTBEAT_MS, writeTimeoutMs: timeouts.write };
    const viewer = new Viewer(run, response, options, seq, frames);
    this.metrics.viewers.inc();
    viewer.onReleased(() => this.metrics.viewers.dec());
    return viewer;
  }

  /** @throws {ChatError} `cancelled` when the client has left */
  private admit(viewer: Viewer, response: Response): Viewer {
    // Such a response may be ended already, and takes no header.
    if (isClientGone(response)) throw new ChatError('cancelled', 'The client left.');
    this.revocation.watch(viewer, callerOf(response.req));
    response.setHeader('Sluice-Run-Id', viewer.run.id);
    return viewer;
  }
}

function ofAnotherRun(): ChatError {
  return new ChatError('run_not_found', 'The ticket is for another run.');
}
