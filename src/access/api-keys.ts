import { Inject, Injectable } from '@nestjs/common';
import { createHash, timingSafeEqual } from 'node:crypto';
import { CONFIG, type Config } from '../config/config.js';
import type { Caller } from './caller.js';

/** The keys that clients may call with. */
@Injectable()
export class ApiKeys {
  /** Only digests stay in memory; equal lengths are what a comparison in constant time needs. */
  private readonly keys: { caller: Caller; digest: Buffer }[];

  constructor(@Inject(CONFIG) config: Config) {
    this.keys = config.API_KEYS.map(({ name, key }) => ({
      caller: { owner: `key:${name}`, name, source: 'key' },
      digest: digest(key),
    }));
  }

  /** Whether there are keys at all. */
  get required(): boolean {
    return this.keys.length > 0;
  }

  /** @returns who has that key */
  find(key: string): Caller | undefined {
    const wanted = digest(key);
    return this.keys.filter(({ digest }) => timingSafeEqual(digest, wanted))[0]?.caller;
  }
}

function digest(key: string): Buffer {
  return createHash('sha256').update(key).digest();
}
