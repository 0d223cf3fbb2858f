-- Shared: begin a run whose requests are in its list :asks already.
-- begin_run(prefix, id, after, {step id, text}) -> nothing. `prefix` is "{prefix}:".
local function begin_run(prefix, id, after, first)
  local run = prefix .. 'run:' .. id
  local now = server_time()
  redis.call('HSET', run .. ':info', 'after', after, 'open', 0, 'started_at', string.format('%.6f', now))
  redis.call('SET', prefix .. 'run', id)
  local ready, blocked = {}, {}
  add_steps(run, {{first[1], first[2], {}}}, now, ready, blocked)
end
