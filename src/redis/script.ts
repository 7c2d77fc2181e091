import type { RedisArgument, RedisClientType } from '@redis/client';
import { createHash } from 'node:crypto';

/** What has to happen at once in Redis. Its keys share a hash tag. */
export class Script<Reply = number> {
  private readonly sha1: string;

  constructor(private readonly source: string) {
    this.sha1 = createHash('sha1').update(source).digest('hex');
  }

  async run(
    client: Pick<RedisClientType, 'eval' | 'evalSha'>,
    keys: RedisArgument[],
    args: RedisArgument[],
  ): Promise<Reply> {
    const options = { keys, arguments: args };
    try {
      return (await client.evalSha(this.sha1, options)) as Reply;
    } catch (error) {
      // Redis has not seen it yet, or has forgotten it.
      if (!(error instanceof Error && error.message.startsWith('NOSCRIPT'))) throw error;
      return (await client.eval(this.source, options)) as Reply;
    }
  }
}
