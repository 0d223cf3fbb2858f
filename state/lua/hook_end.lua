-- Write how a hook ended, if the one who ends it is the one who began it and it has not ended yet.
-- KEYS: 1 the record of the hook.  ARGV: 1 token of who began it, 2 the record as it is to be, 3 seconds to keep it.
-- Returns 1, or 0 when the record is gone, ended, or another's.
-- If it runs twice: the second time nothing is written.
local text = redis.call('GET', KEYS[1])
if not text then
  return 0
end
local record = cjson.decode(text)
if record.state ~= 'running' or string.format('%.0f', record.token) ~= ARGV[1] then
  return 0
end
redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
return 1
