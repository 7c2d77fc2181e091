import { Inject, Injectable } from '@nestjs/common';
import { Access } from '../access/access.service.js';
import type { Caller } from '../access/caller.js';
import { ChatError } from '../errors/chat-error.js';
import { RUN_STORE, type RunStore } from '../runs/run-store.js';
import type { Run } from '../runs/run.js';
import { AllowedModels } from './allowed-models.service.js';
import type { Viewer } from './viewer.js';

/**
 * Ends what goes on for those who may no longer have it, when a reload takes a key or a model from
 * them: the runs that they started here, and their views of runs, wherever those are generated.
 */
@Injectable()
export class Revocation {
  private readonly viewers = new Map<Viewer, Caller>();

  constructor(
    private readonly access: Access,
    private readonly models: AllowedModels,
    @Inject(RUN_STORE) private readonly store: RunStore,
  ) {
    access.changes.subscribe(() => this.enforce());
  }

  /** Ends the view as soon as the caller may no longer have it, and that can be now. */
  watch(viewer: Viewer, caller: Caller) {
    this.viewers.set(viewer, caller);
    viewer.onReleased(() => this.viewers.delete(viewer));
    // A reload that came while the request waited for its limits has not seen its run.
    if (this.objectionTo(caller, viewer.run)) this.enforce();
  }

  private enforce() {
    const ended = new Set<Run>();
    for (const run of this.store.live()) {
      const objection = this.objectionTo(run.caller, run);
      if (!objection) continue;
      ended.add(run);
      void run.fail(objection);
    }
    for (const [viewer, caller] of this.viewers) {
      const objection = this.objectionTo(caller, viewer.run);
      // The end of a run is seen by all who view it, with its number and its usage.
      if (objection && !ended.has(viewer.run)) viewer.dismiss(objection);
    }
  }

  private objectionTo(caller: Caller, run: Run): ChatError | undefined {
    const current = this.access.current(caller);
    if (!current) return denied('The key that this was asked for with is no longer valid.');
    if (this.models.hasRun(current, run)) return undefined;
    return denied('The key that this was asked for with may no longer use this model.');
  }
}

function denied(message: string): ChatError {
  return new ChatError('permission_denied', message);
}
