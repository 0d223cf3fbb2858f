-- Renew a lease, or release it when the time to live is 0.
-- KEYS: 1 the lease.  ARGV: 1 "token owner", 2 time to live in ms.
-- Returns 1, or 0 when the lease is not (or no longer) ours.
-- If it runs twice: a second renewal does no harm, a second release returns 0.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
if tonumber(ARGV[2]) == 0 then
  return redis.call('DEL', KEYS[1])
end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
