--! include graph
--! include run_begin
-- Ask for a run: begins one when none is open, else remembers, once, that another is wanted.
-- KEYS: 1 "{prefix}:" (the start of every key).
-- ARGV: 1 id of a new run, 2 JSON of the request, 3 id of the request or "", 4 id and 5 text of the first step.
-- Returns {run, started (1 or 0)}.
-- If it runs twice: the answer for the same request id is kept for a day; without an id an equal wish is kept once.
local prefix, id, ask, request = KEYS[1], ARGV[1], ARGV[2], ARGV[3]
local asked = prefix .. 'asked:' .. request
if request ~= '' then
  local answer = redis.call('GET', asked)
  if answer then
    local run, started = string.match(answer, '^(%S+) (%d)$')
    return {run, tonumber(started)}
  end
end
local current = redis.call('GET', prefix .. 'run')
local started = 0
if current and redis.call('EXISTS', prefix .. 'run:' .. current .. ':info') == 1 then
  local wishes = redis.call('LRANGE', prefix .. 'wishes', 0, -1)
  local known = false
  for _, wish in ipairs(wishes) do
    known = known or wish == ask
  end
  if not known then
    redis.call('RPUSH', prefix .. 'wishes', ask)
  end
else
  redis.call('RPUSH', prefix .. 'run:' .. id .. ':asks', ask)
  begin_run(prefix, id, '', {ARGV[4], ARGV[5]})
  current, started = id, 1
end
if request ~= '' then
  redis.call('SET', asked, current .. ' ' .. started, 'EX', 86400)
end
return {current, started}
