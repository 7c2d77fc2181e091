import { createHash, timingSafeEqual } from 'node:crypto';
import { digestOf, type ApiKey } from '../config/api-key.js';
import type { Caller } from './caller.js';

/** The keys that clients may call with, by one version of the settings. */
export class ApiKeys {
  private readonly keys: { digest: Buffer; caller: Caller }[];

  constructor(keys: readonly ApiKey[]) {
    this.keys = keys.map((key) => ({ digest: key.digest, caller: callerBy(key) }));
  }

  /**
   * Who has that key. It is compared with all there are, by digests of one length and in constant
   * time: how long it takes tells nothing of any of them.
   */
  find(key: string): Caller | undefined {
    const digest = digestOf(key);
    return this.keys.filter((each) => timingSafeEqual(each.digest, digest))[0]?.caller;
  }

  /** What somebody who came with one of these keys may now; nothing when that key is gone. */
  current({ owner, credential }: Caller): Caller | undefined {
    const same = ({ caller }: { caller: Caller }) =>
      caller.credential === credential && caller.owner === owner;
    return this.keys.find(same)?.caller;
  }
}

function callerBy({ name, digest, models, limits }: ApiKey): Caller {
  // Not the digest itself: that of a key that can be guessed would tell it.
  const credential = createHash('sha256').update('credential').update(digest).digest('base64url');
  return { owner: `key:${name}`, name, source: 'key', credential, models, limits };
}
