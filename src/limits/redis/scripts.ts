import { Script } from '../../redis/script.js';
import { STEPS } from '../limit-store.js';

/** What is counted of a day must last as long as it, and a place until its lease is over. */
const RETENTION_SECONDS = 25 * 60 * 60;

/**
 * Of each scope there are three keys: a hash of counts, `r<step>` of requests and `t<step>` of tokens and
 * `d<day>` of a day's tokens; and two sorted sets of places, `<id> <tokens> <time>` by the end of their
 * lease, those that generate and those that were released. The first two arguments are the length of a
 * step and of the lease, in milliseconds.
 */
const PRELUDE = `
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  local step_ms, lease_ms = tonumber(ARGV[1]), tonumber(ARGV[2])
  local step, day = math.floor(now / step_ms), math.floor(now / 86400000)

  -- Later steps are of a clock that was set back since: they would count until it has caught up.
  local function is_in_minute(at) return at >= step - ${STEPS} and at <= step end

  local function add(counts, tokens, at)
    local taken = math.floor(at / step_ms)
    if is_in_minute(taken) then
      redis.call('HINCRBY', counts, 't' .. taken, tokens)
    elseif tokens > 0 then
      redis.call('HINCRBY', counts, 't' .. step, tokens)
    end
    if math.floor(at / 86400000) == day then
      redis.call('HINCRBY', counts, 'd' .. day, tokens)
    end
    redis.call('EXPIRE', counts, ${RETENTION_SECONDS})
  end

  local function hold(places, place)
    redis.call('ZADD', places, now + lease_ms, place)
    redis.call('EXPIRE', places, ${RETENTION_SECONDS})
  end
`;

/**
 * Takes a place in every scope, or in none, after it gave back those that nobody holds any more.
 *
 * KEYS counts, places and released of each scope. ARGV step, lease, id, tokens, then the limits of each scope:
 * requests and tokens a minute, tokens a day, streams; -1 for none.
 * @returns the time, 1 if it was taken, then of each scope: requests used, ms until they are over, ms
 *   to wait (-1 for ever), the same of tokens, tokens of the day, streams
 */
export const TAKE = new Script<number[]>(`${PRELUDE}
  local id, tokens = ARGV[3], tonumber(ARGV[4])

  local function use(steps, wanted, limit)
    table.sort(steps, function(a, b) return a.at < b.at end)
    local used, reset = 0, 0
    for _, each in ipairs(steps) do
      used = used + each.count
      if each.count > 0 then reset = (each.at + ${STEPS + 1}) * step_ms - now end
    end
    if limit < 0 or used + wanted <= limit then return used, reset, 0 end
    local left = used
    for _, each in ipairs(steps) do
      left = left - each.count
      if left + wanted <= limit then
        return used, reset, (each.at + ${STEPS + 1}) * step_ms - now
      end
    end
    return used, reset, -1
  end

  local answer, fits = { now, 1 }, true
  for scope = 1, #KEYS / 3 do
    local counts, places = KEYS[3 * scope - 2], KEYS[3 * scope - 1]
    for _, held in ipairs({ places, KEYS[3 * scope] }) do
      for _, place in ipairs(redis.call('ZRANGEBYSCORE', held, '-inf', now)) do
        local taken, at = place:match(' (%d+) (%d+)$')
        add(counts, -tonumber(taken), tonumber(at))
        redis.call('ZREM', held, place)
      end
    end
    local minute, today = { r = {}, t = {} }, 0
    local all = redis.call('HGETALL', counts)
    for i = 1, #all, 2 do
      local kind, at, count = all[i]:sub(1, 1), tonumber(all[i]:sub(2)), tonumber(all[i + 1])
      if kind == 'd' and at == day then
        today = count
      elseif kind ~= 'd' and is_in_minute(at) then
        table.insert(minute[kind], { at = at, count = count })
      else
        redis.call('HDEL', counts, all[i])
      end
    end
    local limit = {}
    for i = 1, 4 do limit[i] = tonumber(ARGV[4 * scope + i]) end
    local requests, requests_reset, requests_wait = use(minute.r, 1, limit[1])
    local used, reset, wait = use(minute.t, tokens, limit[2])
    local streams = redis.call('ZCARD', places)
    fits = fits and requests_wait == 0 and wait == 0
      and (limit[3] < 0 or today + tokens <= limit[3])
      and (limit[4] < 0 or streams < limit[4])
    for _, each in ipairs({
      requests, requests_reset, requests_wait, used, reset, wait, today, streams
    }) do table.insert(answer, each) end
  end
  if not fits then
    answer[2] = 0
    return answer
  end
  for scope = 1, #KEYS / 3 do
    local counts, places = KEYS[3 * scope - 2], KEYS[3 * scope - 1]
    redis.call('HINCRBY', counts, 'r' .. step, 1)
    add(counts, tokens, now)
    hold(places, id .. ' ' .. ARGV[4] .. ' ' .. now)
  end
  return answer`);

/** KEYS counts, places and released of each scope. ARGV step, lease, place. */
export const RELEASE = new Script(`${PRELUDE}
  for i = 1, #KEYS, 3 do
    if redis.call('ZREM', KEYS[i + 1], ARGV[3]) == 1 then hold(KEYS[i + 2], ARGV[3]) end
  end
  return 1`);

/**
 * Holds places of one scope for another lease. What Redis has lost, or gave back, is taken again.
 *
 * KEYS counts, places or released. ARGV step, lease, place…
 */
export const RENEW = new Script(`${PRELUDE}
  for i = 3, #ARGV do
    if not redis.call('ZSCORE', KEYS[2], ARGV[i]) then
      local tokens, at = ARGV[i]:match(' (%d+) (%d+)$')
      add(KEYS[1], tonumber(tokens), tonumber(at))
    end
    hold(KEYS[2], ARGV[i])
  end
  return 1`);

/**
 * Gives a place back and counts what was used.
 *
 * KEYS counts, places and released of each scope. ARGV step, lease, place, its tokens, its time, tokens used, 1
 * unless it was tried before: then a place that is not there can be one that was given back.
 */
export const SETTLE = new Script(`${PRELUDE}
  local tokens, at, used = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
  for i = 1, #KEYS, 3 do
    local removed = redis.call('ZREM', KEYS[i + 1], ARGV[3]) + redis.call('ZREM', KEYS[i + 2], ARGV[3])
    if removed > 0 then
      add(KEYS[i], used - removed * tokens, at)
    elseif ARGV[7] == '1' then
      add(KEYS[i], used, at)
    end
  end
  return 1`);
