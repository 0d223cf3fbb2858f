-- Remember all that a node saw. What a step put or dropped since the observation began is newer, and stays; so does all
-- of an observation that began later and was quicker.
-- KEYS: 1 states of the node, 2 print of what was seen, 3 apps by when a step last put or dropped them, and under an
-- empty name when the observation began that was remembered last.
-- ARGV: 1 when the observation began, 2 its print, then an app and its state for each that was seen.
-- Returns 1, or 0 where it came too late. If it runs twice: the same is written again.
local kept = {}
if ARGV[1] ~= '+inf' then
  -- A minute: hardly any takes longer, and where a clock was set back by less, nothing is refused for longer.
  local newest = redis.call('ZSCORE', KEYS[3], '')
  if newest and tonumber(newest) > tonumber(ARGV[1]) and tonumber(newest) - tonumber(ARGV[1]) < 60 then
    return 0
  end
  -- No observation takes ten minutes: none that still goes on asks for what was touched before that, and what was
  -- touched that long after it began was so by a clock that has been set back.
  redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', tonumber(ARGV[1]) - 600)
  redis.call('ZREMRANGEBYSCORE', KEYS[3], tonumber(ARGV[1]) + 600, '+inf')
  redis.call('ZADD', KEYS[3], ARGV[1], '')
end
for _, app in ipairs(redis.call('ZRANGEBYSCORE', KEYS[3], ARGV[1], '+inf')) do
  if app ~= '' then
    kept[app] = redis.call('HGET', KEYS[1], app)
  end
end
redis.call('UNLINK', KEYS[1])
for at = 3, #ARGV, 2 do
  if kept[ARGV[at]] == nil then
    redis.call('HSET', KEYS[1], ARGV[at], ARGV[at + 1])
  end
end
for app, state in pairs(kept) do
  if state then
    redis.call('HSET', KEYS[1], app, state)
  end
end
if next(kept) then
  redis.call('DEL', KEYS[2])
else
  redis.call('SET', KEYS[2], ARGV[2])
end
return 1
