--! include graph
-- Renew the lease of a claimed step.
-- KEYS: 1 the run, 2 start of lease keys.  ARGV: 1 step id, 2 token, 3 owner, 4 time to live in ms.
-- Returns 1, or 0 when the step is no longer ours. A lease that lapsed with nobody taking over is taken up again.
-- If it runs twice: the lease is renewed twice.
local run, id = KEYS[1], ARGV[1]
if redis.call('HGET', run .. ':state', id) ~= 'running' then
  return 0
end
if cjson.decode(redis.call('HGET', run .. ':claims', id)).token ~= ARGV[2] then
  return 0
end
local lease = KEYS[2] .. resource_of(run, id)
local value = ARGV[2] .. ' ' .. ARGV[3]
local held = redis.call('GET', lease)
if held and held ~= value then
  return 0
end
redis.call('SET', lease, value, 'PX', ARGV[4])
return 1
