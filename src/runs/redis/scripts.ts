import { Script } from '../../redis/script.js';

/** What {@link APPEND} answers instead of a length. */
export const UNKNOWN_RUN = -1;
export const FENCED = -2;

/**
 * Appends entries, tells those who follow the run, and renews what expires. It can be repeated:
 * entries that are there already are skipped.
 *
 * KEYS meta, log, lease. ARGV instance, lease ms, retention ms, channel, state or '' where it is
 * the same, whether the run has ended ('1' or ''), length before the entries, entries…
 * @returns the length of the log, UNKNOWN_RUN, or FENCED when the run was declared lost
 */
export const APPEND = new Script(
  `local instance = redis.call('HGET', KEYS[1], 'instance')
  if not instance then return ${UNKNOWN_RUN} end
  if redis.call('HEXISTS', KEYS[1], 'lost') == 1 then return ${FENCED} end
  local length = redis.call('LLEN', KEYS[2])
  local first = 8 + length - tonumber(ARGV[7])
  if first < 8 then return length end
  for i = first, #ARGV do
    length = redis.call('RPUSH', KEYS[2], ARGV[i])
  end
  if ARGV[5] ~= '' then redis.call('HSET', KEYS[1], 'state', ARGV[5]) end
  if ARGV[6] == '' then
    redis.call('SET', KEYS[3], ARGV[1], 'PX', ARGV[2])
  else
    redis.call('HSET', KEYS[1], 'ended', '1')
    redis.call('DEL', KEYS[3])
  end
  redis.call('PEXPIRE', KEYS[1], ARGV[3])
  redis.call('PEXPIRE', KEYS[2], ARGV[3])
  if first <= #ARGV or ARGV[6] ~= '' then redis.call('PUBLISH', ARGV[4], length) end
  return length`,
);

/**
 * Marks a run whose instance is gone, unless its lease is there after all.
 *
 * KEYS meta, lease. ARGV state of the lost run.
 * @returns 1 when the run is lost, now or since before, or Redis has lost all of it; else 0
 */
export const MARK_LOST = new Script(
  `if redis.call('EXISTS', KEYS[1]) == 0 then return 1 end
  if redis.call('HEXISTS', KEYS[1], 'lost') == 1 then return 1 end
  if redis.call('HEXISTS', KEYS[1], 'ended') == 1 then return 0 end
  if redis.call('EXISTS', KEYS[2]) == 1 then return 0 end
  redis.call('HSET', KEYS[1], 'lost', '1', 'state', ARGV[1])
  return 1`,
);

/** KEYS claim. ARGV run id. Gives a claim back, if that run holds it. */
export const RELEASE = new Script(
  `local claim = redis.call('GET', KEYS[1])
  if claim and cjson.decode(claim).runId == ARGV[1] then return redis.call('DEL', KEYS[1]) end
  return 0`,
);
