--! include graph
-- Find what the messages lost: steps that are ready but were not taken, and running ones without a lease.
-- KEYS: 1 "{prefix}:", 2 start of lease keys.  ARGV: 1 seconds after which a ready step is sent again, 2 most attempts.
-- Returns {run, {steps to send}, {steps given up}, {{step, by, message}}, open steps left}, or {} when no run is open.
-- If it runs twice: what was just sent is not sent again before that many seconds.
local current = redis.call('GET', KEYS[1] .. 'run')
if not current then
  return {}
end
local run = KEYS[1] .. 'run:' .. current
if redis.call('EXISTS', run .. ':info') == 0 then
  redis.call('DEL', KEYS[1] .. 'run')
  return {}
end
local now = server_time()
local resend, lost, blocked = {}, {}, {}
for _, id in ipairs(redis.call('ZRANGE', run .. ':running', 0, -1)) do
  local claim = cjson.decode(redis.call('HGET', run .. ':claims', id))
  if redis.call('GET', KEYS[2] .. resource_of(run, id)) ~= claim.token .. ' ' .. claim.owner then
    if claim.attempt >= tonumber(ARGV[2]) then
      local message = 'its worker was lost ' .. claim.attempt .. ' times in a row'
      end_step(run, id, 'failed', 'WorkerLost', message, '', '', now)
      lost[#lost + 1] = step_text(run, id)
      block_dependents(run, id, 'WorkerLost', now, blocked)
    else
      redis.call('ZREM', run .. ':running', id)
      make_ready(run, id, 0)
    end
  end
end
local before = string.format('(%.6f', now - tonumber(ARGV[1]))
for _, id in ipairs(redis.call('ZRANGEBYSCORE', run .. ':ready', '-inf', before)) do
  redis.call('ZADD', run .. ':ready', string.format('%.6f', now), id)
  resend[#resend + 1] = step_text(run, id)
end
return {current, resend, lost, blocked, open_steps(run)}
