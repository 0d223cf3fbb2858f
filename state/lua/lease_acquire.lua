--! include token
-- Take a lease.
-- KEYS: 1 the lease, 2 the last token.  ARGV: 1 owner, 2 time to live in ms.
-- Returns the token, or nil when another owner holds it.
-- If it runs twice: the same owner gets a newer token; the older one no longer counts.
local held = redis.call('GET', KEYS[1])
if held and string.match(held, '^%d+ (.*)$') ~= ARGV[1] then
  return nil
end
local token = next_token(KEYS[2])
redis.call('SET', KEYS[1], token .. ' ' .. ARGV[1], 'PX', ARGV[2])
return token
