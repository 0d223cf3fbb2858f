--! include graph
--! include run_begin
-- Close a run all of whose steps have ended, and begin the next one when it is wanted.
-- KEYS: 1 "{prefix}:".
-- ARGV: 1 the run, 2 its record, 3 id of a next run, 4 id and 5 text of its first step, 6 records kept, 7 keep it (1 or 0).
-- The last hundred runs that another one followed are kept with it in the list `followed`, for those who asked then.
-- Each request that the run answers is put, with the record, into the hash `unanswered` until its result is stored.
-- Returns {'Closed', next run or "", 1 when it was closed by this call}, or {'Open'} when a step was added meanwhile.
-- If it runs twice: the second returns the run that was begun after it, so that its first step can be sent again.
local prefix, id = KEYS[1], ARGV[1]
local run = prefix .. 'run:' .. id
local current = redis.call('GET', prefix .. 'run')
if current ~= id then
  if current and redis.call('HGET', prefix .. 'run:' .. current .. ':info', 'after') == id then
    return {'Closed', current, 0}
  end
  return {'Closed', '', 0}
end
if open_steps(run) > 0 then
  return {'Open'}
end
if ARGV[7] == '1' then
  redis.call('HSET', prefix .. 'records', id, ARGV[2])
  redis.call('LPUSH', prefix .. 'recent', id)
  while redis.call('LLEN', prefix .. 'recent') > tonumber(ARGV[6]) do
    redis.call('HDEL', prefix .. 'records', redis.call('RPOP', prefix .. 'recent'))
  end
end
for _, ask in ipairs(redis.call('LRANGE', run .. ':asks', 0, -1)) do
  local request = cjson.decode(ask).request
  if request and request ~= '' and ARGV[2] ~= '' then
    redis.call('HSET', prefix .. 'unanswered', request, ARGV[2])
  end
end
for _, part in ipairs({'info', 'asks', 'steps', 'state', 'need', 'rdeps', 'claims', 'ends', 'ready', 'running',
                       'busy', 'facts', 'staged', 'mail'}) do
  redis.call('UNLINK', run .. ':' .. part)
end
redis.call('DEL', prefix .. 'run')
if redis.call('EXISTS', prefix .. 'wishes') == 0 then
  return {'Closed', '', 1}
end
redis.call('RENAME', prefix .. 'wishes', prefix .. 'run:' .. ARGV[3] .. ':asks')
redis.call('LPUSH', prefix .. 'followed', id .. ' ' .. ARGV[3])
redis.call('LTRIM', prefix .. 'followed', 0, 99)
begin_run(prefix, ARGV[3], id, {ARGV[4], ARGV[5]})
return {'Closed', ARGV[3], 1}
