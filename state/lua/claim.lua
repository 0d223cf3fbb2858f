--! include token
--! include graph
-- Take a ready step, or a running one whose worker lost its lease.
-- KEYS: 1 the run, 2 start of lease keys, 3 the last token.  ARGV: 1 step id, 2 owner, 3 time to live in ms.
-- Returns {'Claimed', step, token, attempt, asks} or {refusal}.
-- If it runs twice: the same owner gets the same claim again; any other owner is refused with Running.
local run, id, owner, ttl = KEYS[1], ARGV[1], ARGV[2], ARGV[3]
local state = redis.call('HGET', run .. ':state', id)
if not state then
  return {'UnknownRun'}
elseif ENDED[state] then
  return {'Done'}
elseif state == 'pending' then
  return {'NotReady'}
end
local lease = KEYS[2] .. resource_of(run, id)
local held = redis.call('GET', lease)
local last = redis.call('HGET', run .. ':claims', id)
local attempt = 0
if last then
  last = cjson.decode(last)
  attempt = last.attempt
  if state == 'running' and held == last.token .. ' ' .. last.owner then
    if last.owner == owner then
      return {'Claimed', step_text(run, id), last.token, attempt, redis.call('LRANGE', run .. ':asks', 0, -1)}
    end
    return {'Running'}
  end
end
if held then
  wait_for_resource(run, resource_of(run, id), id)
  return {'Busy'}
end
local token = next_token(KEYS[3])
local now = server_time()
redis.call('SET', lease, token .. ' ' .. owner, 'PX', ttl)
redis.call('HSET', run .. ':state', id, 'running')
redis.call('ZREM', run .. ':ready', id)
redis.call('ZADD', run .. ':running', string.format('%.6f', now), id)
redis.call('HSET', run .. ':claims', id, cjson.encode({
  token = token, owner = owner, attempt = attempt + 1, at = now,
}))
return {'Claimed', step_text(run, id), token, attempt + 1, redis.call('LRANGE', run .. ':asks', 0, -1)}
