--! include graph
-- End a claimed step, release or block what needs it, add new steps, carry out the effects.
-- KEYS: 1 the run, 2 start of lease keys.
-- ARGV: 1 step id, 2 token, 3 state (ok, tolerated, failed, superseded), 4 reason, 5 message,
--   6 JSON of new steps, 7 JSON of facts {name: text}, 8 JSON of commands to carry out with it.
-- Returns {'Completed', {ready steps to send}, {{step, by, message}}, open steps left} or {'LeaseLost'}: the step, or
-- its resource, was taken by another since. A lease that lapsed with nobody taking over does not matter.
-- If it runs twice: nothing is written again; all that is ready now is returned.
local run, id, token = KEYS[1], ARGV[1], ARGV[2]
local claim = redis.call('HGET', run .. ':claims', id)
claim = claim and cjson.decode(claim)
local state = redis.call('HGET', run .. ':state', id)
if not claim or claim.token ~= token then
  return {'LeaseLost'}
end
local ready, blocked = {}, {}
if state ~= 'running' then
  local ended = redis.call('HGET', run .. ':ends', id)
  if not ended or cjson.decode(ended).token ~= token then
    return {'LeaseLost'}
  end
  for _, other in ipairs(redis.call('ZRANGE', run .. ':ready', 0, -1)) do
    ready[#ready + 1] = step_text(run, other)
  end
  return {'Completed', ready, blocked, open_steps(run)}
end
local held = redis.call('GET', KEYS[2] .. resource_of(run, id))
if held and held ~= token .. ' ' .. claim.owner then
  return {'LeaseLost'}
end
local now = server_time()
-- New steps first: they may need this one, and a need that nobody knows must leave everything as it was.
add_steps(run, cjson.decode(ARGV[6]), now, ready, blocked)
for name, value in pairs(cjson.decode(ARGV[7])) do
  redis.call('HSET', run .. ':facts', name, value)
end
end_step(run, id, ARGV[3], ARGV[4], ARGV[5], '', token, now)
for _, other in ipairs(free_resource(run, KEYS[2], id, token .. ' ' .. claim.owner)) do
  ready[#ready + 1] = step_text(run, other)
end
if PASSED[ARGV[3]] then
  release_dependents(run, id, now, ready)
else
  block_dependents(run, id, ARGV[4], now, blocked)
end
for _, command in ipairs(cjson.decode(ARGV[8])) do
  redis.call(unpack(command))
end
return {'Completed', ready, blocked, open_steps(run)}
