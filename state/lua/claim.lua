--! include token
--! include graph
-- Take a ready step, or a running one whose worker lost its lease.
-- KEYS: 1 the run, 2 start of lease keys, 3 the last token, 4 digests of desired apps, 5 the head, 6 the events,
--   7 suspensions.
-- ARGV: 1 step id, 2 owner, 3 time to live in ms, 4 id of the run, 5 events kept.
-- Returns {'Claimed', step, token, attempt, asks, "digest path" desired of its app, head, 1 if that is suspended} or
-- {refusal}. Of a step about an app, an event tells that it starts.
-- If it runs twice: the same owner gets the same claim again, with no second event; any other is refused with Running.
local run, id, owner, ttl = KEYS[1], ARGV[1], ARGV[2], ARGV[3]
local function is_suspended(app, now)
  for _, text in ipairs(redis.call('HMGET', KEYS[7], app, '*')) do
    local ends = text and (cjson.decode(text)['until'] or 0)
    if ends and (ends == 0 or ends > now) then
      return 1
    end
  end
  return 0
end
local function claimed(token, attempt)
  local text = step_text(run, id)
  local app = step_of(run, id).app
  local desired, head, suspended = false, false, 0
  if app ~= '' then
    desired, head = redis.call('HGET', KEYS[4], app), redis.call('GET', KEYS[5])
    suspended = is_suspended(app, server_time())
  end
  return {'Claimed', text, token, attempt, redis.call('LRANGE', run .. ':asks', 0, -1), desired, head, suspended}
end
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
      return claimed(last.token, attempt)
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
local step = step_of(run, id)
if step.app ~= '' then
  local event = cjson.encode({
    name = step.task .. '.start', time = now, app = step.app, node = step.node, revision = step.revision,
    run = ARGV[4], extra = {
      action = step.action, version = step.version, from_version = step.from_version, why = step.payload.detail,
    },
  })
  redis.call('XADD', KEYS[6], 'MAXLEN', '~', ARGV[5], '*', 'event', '{"schema":1,' .. string.sub(event, 2))
end
return claimed(token, attempt + 1)
