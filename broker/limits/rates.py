"""Requests and tokens of the last minute at each endpoint, in counts by the second of the server's clock.

A second's count stays until the whole of it is older than a minute, so no minute ever has more than its limit. A
request is counted in the second for which it is admitted, which may lie a little ahead: whoever asks next finds that
place taken and gets a later one, and nobody has to ask twice.
"""

from __future__ import annotations

_PREFIX = "replay.rate"

# So long may a request wait in its worker for its turn. Who would wait longer goes back to the queue.
PATIENT_S = 5.0

_TTL_S = 180
# Twice the fields of a full minute: what is older is not looked for at each request.
_MANY_FIELDS = 250

# The hash holds `r<second>` and `t<second>`, requests and tokens; and `until` and `why` where the next request would
# have to wait too long, for the lane's door.
RATES = f"""
local function window(key, now)
  local w = {{at = {{}}, seconds = {{}}}}
  local all = redis.call('HGETALL', key)
  for i = 1, #all, 2 do
    local kind, second = string.match(all[i], '^([rt])(%d+)$')
    if kind then
      second = tonumber(second)
      if second + 61 > now then
        if not w.at[second] then
          w.at[second] = {{r = 0, t = 0}}
          table.insert(w.seconds, second)
        end
        w.at[second][kind] = tonumber(all[i + 1])
      end
    end
  end
  table.sort(w.seconds)
  return w
end
local function sum(w, kind, upto)
  local n = 0
  for _, second in ipairs(w.seconds) do
    if not upto or second <= upto then n = n + w.at[second][kind] end
  end
  return n
end
local function kind_fits_at(w, kind, limit, size, now)
  local at = now
  if not limit then return at end
  local left = sum(w, kind)
  for _, second in ipairs(w.seconds) do
    -- What is larger than the limit goes alone: else it would never go.
    if left + size <= limit or left <= 0 then return at end
    left = left - w.at[second][kind]
    at = math.max(at, second + 61)
  end
  return at
end
-- When a request of so many tokens may be made, and what it waits for.
local function fits_at(w, b, tokens, now)
  local by_requests = kind_fits_at(w, 'r', b.requests_per_minute, 1, now)
  local by_tokens = kind_fits_at(w, 't', b.tokens_per_minute, tokens, now)
  if by_requests >= by_tokens then
    return by_requests, string.format('the limit of %d requests a minute', b.requests_per_minute or 0)
  end
  local why = 'the limit of %d tokens a minute; the next request may take %d'
  return by_tokens, string.format(why, b.tokens_per_minute, tokens)
end
local function mark(key, w, b, tokens, now)
  local at, why = fits_at(w, b, tokens, now)
  if at - {PATIENT_S} > now then
    redis.call('HSET', key, 'until', string.format('%.3f', at - {PATIENT_S}), 'why', why)
  else
    redis.call('HDEL', key, 'until', 'why')
  end
end
local function book(key, second, requests, tokens)
  redis.call('HINCRBY', key, 'r' .. second, requests)
  redis.call('HINCRBY', key, 't' .. second, tokens)
  redis.call('EXPIRE', key, {_TTL_S})
end
local function has_rates(b) return b.requests_per_minute or b.tokens_per_minute end
local function forget_old(key, now)
  if redis.call('HLEN', key) < {_MANY_FIELDS} then return end
  for _, field in ipairs(redis.call('HKEYS', key)) do
    local second = string.match(field, '^[rt](%d+)$')
    if second and tonumber(second) + 61 <= now then redis.call('HDEL', key, field) end
  end
end
"""


def key(target: str) -> str:
    """The hash of a target, by its name."""
    return f"{_PREFIX}:{target}"
