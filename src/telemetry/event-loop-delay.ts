import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { Metrics } from './metrics.js';

/** How often it is looked, in milliseconds: each time wakes a process that may have nothing to do. */
const LOOK_MS = 100;

/** Measures how late the event loop is: everything that the process does waits for it. */
@Injectable()
export class EventLoopDelay implements OnApplicationShutdown {
  private readonly looking: NodeJS.Timeout;

  constructor(metrics: Metrics) {
    let dueAt = performance.now() + LOOK_MS;
    this.looking = setInterval(() => {
      const now = performance.now();
      metrics.eventLoopDelaySeconds.observe(Math.max(0, now - dueAt) / 1000);
      dueAt = now + LOOK_MS;
    }, LOOK_MS).unref();
  }

  onApplicationShutdown() {
    clearInterval(this.looking);
  }
}
