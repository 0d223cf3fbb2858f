--! include graph
-- Make a claimed step ready again, as if it had not been claimed: the next sweep sends it, and what waited for
-- its resource, at once.
-- KEYS: 1 the run, 2 start of lease keys.  ARGV: 1 step id, 2 token.
-- Returns 1, or 0 when the step is no longer ours.
-- If it runs twice: the second returns 0.
local run, id = KEYS[1], ARGV[1]
local claim = redis.call('HGET', run .. ':claims', id)
claim = claim and cjson.decode(claim)
if not claim or claim.token ~= ARGV[2] or redis.call('HGET', run .. ':state', id) ~= 'running' then
  return 0
end
redis.call('ZREM', run .. ':running', id)
make_ready(run, id, 0)
redis.call('HSET', run .. ':claims', id, cjson.encode({
  token = '', owner = '', attempt = claim.attempt - 1, at = claim.at,
}))
for _, other in ipairs(free_resource(run, KEYS[2], id, claim.token .. ' ' .. claim.owner)) do
  make_ready(run, other, 0)
end
return 1
