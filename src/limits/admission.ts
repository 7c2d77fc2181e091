import type { LimitStore, Place } from './limit-store.js';

/** One request's way in, past the limits of its key, and out again when its run is over. */
export class Admission {
  private place?: Place;
  private hasStopped = false;
  /** Tokens that were used, once the run is over. */
  private used?: number;

  /** @param take takes the request's place; nothing where none is kept */
  constructor(
    private readonly take: () => Promise<Place | undefined>,
    private readonly store: LimitStore,
  ) {}

  /** @throws {ChatError} `rate_limit_exceeded`, `insufficient_quota` or `store_unavailable` */
  async enter(): Promise<void> {
    this.place = await this.take();
    this.giveBack();
  }

  /** Nothing is generated any more, and the tokens are yet to be counted. */
  stop() {
    this.hasStopped = true;
    this.giveBack();
  }

  /** The run is over, and used so many tokens. It can be over before it was let in. */
  leave(used: number) {
    this.used = used;
    this.giveBack();
  }

  private giveBack() {
    const { place, used } = this;
    if (!place) return;
    if (used !== undefined) {
      this.place = undefined;
      this.store.settle(place, used);
    } else if (this.hasStopped) {
      this.store.release(place);
    }
  }
}
