-- Shared: the next fencing token. Greater than every token before, and at least the time in microseconds,
-- so that tokens still grow after Redis lost its data.
-- next_token(key) -> text
local function next_token(key)
  local time = redis.call('TIME')
  local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
  local last = tonumber(redis.call('GET', key) or '0')
  local token = string.format('%.0f', math.max(last + 1, now))
  redis.call('SET', key, token)
  return token
end
