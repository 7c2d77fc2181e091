import { Inject, Injectable } from '@nestjs/common';
import { createHash, timingSafeEqual } from 'node:crypto';
import { CONFIG, type Config } from '../config/config.js';

/** The keys that clients may call with. */
@Injectable()
export class ApiKeys {
  /** Only digests stay in memory; equal lengths are what a comparison in constant time needs. */
  private readonly owners: { name: string; digest: Buffer }[];

  constructor(@Inject(CONFIG) config: Config) {
    this.owners = config.API_KEYS.map(({ name, key }) => ({ name, digest: digest(key) }));
  }

  /** Whether there are keys at all. */
  get required(): boolean {
    return this.owners.length > 0;
  }

  /** @returns the name of the key's owner */
  find(key: string): string | undefined {
    const wanted = digest(key);
    return this.owners.filter((owner) => timingSafeEqual(owner.digest, wanted))[0]?.name;
  }
}

function digest(key: string): Buffer {
  return createHash('sha256').update(key).digest();
}
