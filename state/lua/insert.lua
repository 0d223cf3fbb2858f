--! include graph
-- Add steps to the open run from outside, or fail some of its steps that do not run.
-- KEYS: 1 the run.  ARGV: 1 JSON of new steps, 2 JSON of ids to fail, 3 reason, 4 message.
-- Returns {'Completed', {ready steps}, {{step, by, message}}, open steps left} or {'UnknownRun'}.
-- If it runs twice: steps that are there already, or ended, are left alone.
local run = KEYS[1]
if redis.call('EXISTS', run .. ':info') == 0 then
  return {'UnknownRun'}
end
local now = server_time()
local ready, blocked = {}, {}
add_steps(run, cjson.decode(ARGV[1]), now, ready, blocked)
for _, id in ipairs(cjson.decode(ARGV[2])) do
  local state = redis.call('HGET', run .. ':state', id)
  if state == 'ready' or state == 'pending' then
    end_step(run, id, 'failed', ARGV[3], ARGV[4], '', '', now)
    block_dependents(run, id, ARGV[3], now, blocked)
  end
end
return {'Completed', ready, blocked, open_steps(run)}
