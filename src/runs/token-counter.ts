import { Injectable, type OnApplicationShutdown } from '@nestjs/common';
import { Worker } from 'node:worker_threads';

interface Answer {
  id: number;
  counts: number[];
}

/** What a token is worth in text where it can't be counted. */
const CHARACTERS_PER_TOKEN = 4;

/** As much of a text is counted, in characters: the next run's end waits for it. */
const MAX_COUNTED = 2 ** 20;

/** As much waits to be counted, in characters: the longest prompt and answer. It takes about a second. */
const MAX_WAITING = 2 * MAX_COUNTED;

/**
 * The old generation of the thread's heap, in MB, of which its tables are 24. Without a limit V8 would let
 * garbage pile up.
 */
const MAX_HEAP_MB = 64;

/**
 * Counts tokens as OpenAI's newer models do, for usage that no provider reported. In a thread of its
 * own, so that no stream waits for it, which starts with the first text to be counted.
 */
@Injectable()
export class TokenCounter implements OnApplicationShutdown {
  private worker?: Worker;
  private readonly waiting = new Map<number, (counts: number[]) => void>();
  private lastId = 0;
  /** Characters that wait to be counted. */
  private length = 0;

  /** @returns how many tokens each text has, or about as many where it is very long or many wait */
  async count(texts: string[]): Promise<number[]> {
    const counts = await this.ask(texts.map((text) => text.slice(0, MAX_COUNTED)));
    return texts.map(({ length }, at) => {
      const tokens = counts[at];
      if (tokens === undefined) return Math.ceil(length / CHARACTERS_PER_TOKEN);
      return Math.round(tokens * Math.max(1, length / MAX_COUNTED));
    });
  }

  async onApplicationShutdown() {
    await this.worker?.terminate();
  }

  /** @returns nothing where it can't be counted */
  private async ask(texts: string[]): Promise<number[]> {
    const length = texts.reduce((sum, text) => sum + text.length, 0);
    if (this.length + length > MAX_WAITING) return [];
    this.length += length;
    try {
      const worker = (this.worker ??= this.start());
      const id = (this.lastId += 1);
      return await new Promise<number[]>((resolve) => {
        this.waiting.set(id, resolve);
        worker.postMessage({ id, texts });
      });
    } catch {
      // The system has no thread to give.
      return [];
    } finally {
      this.length -= length;
    }
  }

  private start(): Worker {
    const worker = new Worker(new URL('./token-counter.worker.js', import.meta.url), {
      resourceLimits: { maxOldGenerationSizeMb: MAX_HEAP_MB },
    });
    worker.unref();
    worker.on('message', ({ id, counts }: Answer) => this.answer(id, counts));
    // Without a worker the texts are estimated by their length; the next count starts a new one.
    worker.on('error', () => undefined);
    worker.on('exit', () => {
      this.worker = undefined;
      for (const id of [...this.waiting.keys()]) this.answer(id, []);
    });
    return worker;
  }

  private answer(id: number, counts: number[]) {
    this.waiting.get(id)?.(counts);
    this.waiting.delete(id);
  }
}
