-- Shared: the graph of a run, below the key `run` ("{prefix}:run:<id>"; one hash tag, so one cluster slot).
--   :info    hash  after, started_at, open (steps not ended yet)
--   :asks    list  JSON of each request that this run answers
--   :steps   hash  step id -> JSON of the step           :state  hash  step id -> state
--   :need    hash  step id -> needs not ended yet        :rdeps  hash  step id -> ids that need it, a line each
--   :claims  hash  step id -> JSON {token, owner, attempt, at}
--   :ends    hash  step id -> JSON {result, reason, message, by, at, token}
--   :ready   zset  step id -> when it was last sent (0: never)    :running  zset  step id -> since when
--   :busy    hash  resource -> ids of ready steps that found it taken, a line each
--   :facts   hash  name -> JSON of a value that later steps need
--   :mail    hash  step id -> the message about it that is sent when it becomes ready: a queue, then a text, a line each
local ENDED = {ok = true, failed = true, superseded = true, blocked = true, tolerated = true}
local PASSED = {ok = true, tolerated = true}

local function server_time()
  local time = redis.call('TIME')
  return tonumber(time[1]) + tonumber(time[2]) / 1000000
end

local function step_text(run, id)
  return redis.call('HGET', run .. ':steps', id)
end

-- What a step says, decoded once in one run of a script: what is added stays as it is.
local decoded = {}
local function step_of(run, id)
  decoded[id] = decoded[id] or cjson.decode(step_text(run, id))
  return decoded[id]
end

local function label(run, id)
  local step = step_of(run, id)
  return step.app ~= '' and step.app or id
end

local function resource_of(run, id)
  local step = step_of(run, id)
  return step.resource ~= '' and step.resource or (run .. '/' .. id)
end

local function lines(text)
  return string.gmatch(text or '', '[^\n]+')
end

local function append_line(key, field, value)
  local old = redis.call('HGET', key, field)
  redis.call('HSET', key, field, old and (old .. '\n' .. value) or value)
end

local function end_step(run, id, state, reason, message, by, token, now)
  redis.call('HSET', run .. ':state', id, state)
  redis.call('ZREM', run .. ':ready', id)
  redis.call('ZREM', run .. ':running', id)
  redis.call('HINCRBY', run .. ':info', 'open', -1)
  redis.call('HSET', run .. ':ends', id, cjson.encode({
    reason = reason, message = message, by = by, at = now, token = token,
  }))
end

local function make_ready(run, id, sent)
  redis.call('HSET', run .. ':state', id, 'ready')
  redis.call('ZADD', run .. ':ready', string.format('%.6f', sent), id)
end

-- A time as ISO 8601, in UTC. The calendar is that of Howard Hinnant's `civil_from_days`.
local function iso8601(seconds)
  local days = math.floor(seconds / 86400)
  local rest = math.floor(seconds) - days * 86400
  local era = math.floor((days + 719468) / 146097)
  local doe = days + 719468 - era * 146097
  local yoe = math.floor(
    (doe - math.floor(doe / 1460) + math.floor(doe / 36524) - math.floor(doe / 146096)) / 365)
  local doy = doe - (365 * yoe + math.floor(yoe / 4) - math.floor(yoe / 100))
  local mp = math.floor((5 * doy + 2) / 153)
  local day = doy - math.floor((153 * mp + 2) / 5) + 1
  local month = mp < 10 and mp + 3 or mp - 9
  local year = yoe + era * 400 + (month <= 2 and 1 or 0)
  return string.format('%04d-%02d-%02dT%02d:%02d:%02d+00:00', year, month, day,
    math.floor(rest / 3600), math.floor(rest / 60) % 60, rest % 60)
end

-- Send the message that was prepared about the step, once: its `@expires:N@` becomes the time N seconds from now.
-- Returns whether there was one; without, whoever called sends one.
local function post(run, id, now)
  local letter = redis.call('HGET', run .. ':mail', id)
  if not letter then
    return false
  end
  local queue, text = string.match(letter, '^([^\n]*)\n(.*)$')
  redis.call('LPUSH', queue, (string.gsub(text, '@expires:(%d+)@', function(after)
    return iso8601(now + tonumber(after))
  end)))
  redis.call('HDEL', run .. ':mail', id)
  return true
end

-- Everything that needs `id`, however far, becomes blocked; each is added to `blocked` as {step, by, message}.
local function block_dependents(run, id, reason, now, blocked)
  local by = label(run, id)
  local message = 'waits for ' .. by .. ', which failed' .. (reason ~= '' and (' (' .. reason .. ')') or '')
  local queue, head = {id}, 1
  while queue[head] do
    for dependent in lines(redis.call('HGET', run .. ':rdeps', queue[head])) do
      if not ENDED[redis.call('HGET', run .. ':state', dependent)] then
        end_step(run, dependent, 'blocked', 'DependencyFailed', message, by, '', now)
        blocked[#blocked + 1] = {step_text(run, dependent), by, message}
        queue[#queue + 1] = dependent
      end
    end
    head = head + 1
  end
end

-- What needed only `id` becomes ready: the message about it is sent, or, without one, its text is added to `ready`.
local function release_dependents(run, id, now, ready)
  for dependent in lines(redis.call('HGET', run .. ':rdeps', id)) do
    if redis.call('HINCRBY', run .. ':need', dependent, -1) == 0
        and redis.call('HGET', run .. ':state', dependent) == 'pending' then
      make_ready(run, dependent, now)
      if not post(run, dependent, now) then
        ready[#ready + 1] = step_text(run, dependent)
      end
    end
  end
end

-- Add steps, an array of {id, text, {needs}, letter or nil}. Those that are there already are left alone.
-- A need that nobody knows is an error, and then nothing is written.
local function add_steps(run, steps, now, ready, blocked)
  local fresh, known = {}, {}
  for _, step in ipairs(steps) do
    known[step[1]] = true
  end
  for _, step in ipairs(steps) do
    for _, need in ipairs(step[3]) do
      if not known[need] and redis.call('HEXISTS', run .. ':steps', need) == 0 then
        error('step ' .. step[1] .. ' needs the unknown step ' .. need)
      end
    end
  end
  for _, step in ipairs(steps) do
    if redis.call('HSETNX', run .. ':steps', step[1], step[2]) == 1 then
      redis.call('HSET', run .. ':state', step[1], 'pending')
      if step[4] then
        redis.call('HSET', run .. ':mail', step[1], step[4])
      end
      fresh[#fresh + 1] = step
    end
  end
  if #fresh == 0 then
    return
  end
  redis.call('EXPIRE', run .. ':mail', 86400) -- a worker of before there were letters closes a run without it
  redis.call('HINCRBY', run .. ':info', 'open', #fresh)
  local rdeps, failed = {}, {}
  for _, step in ipairs(fresh) do
    local count = 0
    for _, need in ipairs(step[3]) do
      local state = redis.call('HGET', run .. ':state', need)
      if not ENDED[state] then
        count = count + 1
      elseif not PASSED[state] then
        failed[#failed + 1] = need
        count = count + 1
      end
      rdeps[need] = rdeps[need] or {}
      table.insert(rdeps[need], step[1])
    end
    redis.call('HSET', run .. ':need', step[1], count)
    if count == 0 then
      make_ready(run, step[1], now)
      if not post(run, step[1], now) then
        ready[#ready + 1] = step[2]
      end
    end
  end
  for need, dependents in pairs(rdeps) do
    append_line(run .. ':rdeps', need, table.concat(dependents, '\n'))
  end
  for _, need in ipairs(failed) do
    block_dependents(run, need, '', now, blocked)
  end
end

-- Remember that the step `id` found its resource taken.
local function wait_for_resource(run, resource, id)
  for other in lines(redis.call('HGET', run .. ':busy', resource)) do
    if other == id then
      return
    end
  end
  append_line(run .. ':busy', resource, id)
end

-- Give back the lease of a step's resource if `value` still holds it; returns the ready steps that
-- found it taken, which must be sent again.
local function free_resource(run, leases, id, value)
  local resource = resource_of(run, id)
  if redis.call('GET', leases .. resource) == value then
    redis.call('DEL', leases .. resource)
  end
  local waiting, woken = redis.call('HGET', run .. ':busy', resource), {}
  if waiting then
    redis.call('HDEL', run .. ':busy', resource)
    for other in lines(waiting) do
      if redis.call('HGET', run .. ':state', other) == 'ready' then
        woken[#woken + 1] = other
      end
    end
  end
  return woken
end

local function open_steps(run)
  return tonumber(redis.call('HGET', run .. ':info', 'open') or '0')
end
