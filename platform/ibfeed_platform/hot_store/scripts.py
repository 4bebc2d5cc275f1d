"""The Lua scripts of the hot store. Redis runs each as one step, so writers cannot come between each other.

``seq`` stays below 2^53, so Lua's numbers hold it exactly. Prices have at most 15 digits, so no two of them fall
together when Lua compares them as numbers; what is stored stays text.
"""

from __future__ import annotations

from typing import Final

_ORDER: Final = """
local function is_older(held_epoch, held_seq, epoch, seq)
  if not held_epoch then return false end
  held_epoch, held_seq = tonumber(held_epoch), tonumber(held_seq)
  return epoch < held_epoch or (epoch == held_epoch and seq <= held_seq)
end
"""

# KEYS: the hash. ARGV: epoch, seq, the time in ms at which it expires, and its fields with their values.
# Returns 1 if the hash was written, and 0 if the one that is there is as new or newer.
LATEST: Final = (
    _ORDER
    + """
local held = redis.call('HMGET', KEYS[1], 'epoch', 'seq')
if is_older(held[1], held[2], tonumber(ARGV[1]), tonumber(ARGV[2])) then return 0 end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], unpack(ARGV, 4))
redis.call('PEXPIREAT', KEYS[1], ARGV[3])
return 1
"""
)

# KEYS: the book's hash, and the hash of what the next change is applied to. ARGV: epoch, seq, the times in ms at which
# the two expire, kind, bids, asks, and further fields with their values. Returns what LATEST returns.
BOOK: Final = (
    _ORDER
    + """
local function encode(levels)
  if #levels == 0 then return '[]' end
  return cjson.encode(levels)
end

local function apply(held, changes, descending)
  local by_price = {}
  for _, level in ipairs(cjson.decode(held)) do by_price[tonumber(level[1])] = level end
  for _, level in ipairs(cjson.decode(changes)) do
    by_price[tonumber(level[1])] = tonumber(level[2]) ~= 0 and level or nil
  end
  local levels = {}
  for _, level in pairs(by_price) do levels[#levels + 1] = level end
  table.sort(levels, function(a, b)
    if descending then a, b = b, a end
    return tonumber(a[1]) < tonumber(b[1])
  end)
  return encode(levels)
end

local epoch, seq, kind = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[5]
local held = redis.call('HMGET', KEYS[2], 'epoch', 'seq', 'known', 'bids', 'asks')
if is_older(held[1], held[2], epoch, seq) then return 0 end
local known, reason, bids, asks = kind == 'snapshot', kind, '[]', '[]'
if kind == 'snapshot' then
  bids, asks = apply('[]', ARGV[6], true), apply('[]', ARGV[7], false)
elseif kind == 'delta' then
  known = held[3] == '1' and tonumber(held[2]) + 1 == seq
  if known then
    bids, asks = apply(held[4], ARGV[6], true), apply(held[5], ARGV[7], false)
  else
    reason = 'lost'
  end
end
local fields = {'known', known and '1' or '0', 'reason', reason, 'bids', bids, 'asks', asks}
redis.call('DEL', KEYS[2])
redis.call('HSET', KEYS[2], 'epoch', ARGV[1], 'seq', ARGV[2], unpack(fields))
redis.call('PEXPIREAT', KEYS[2], ARGV[4])
for place = 8, #ARGV do fields[#fields + 1] = ARGV[place] end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], unpack(fields))
redis.call('PEXPIREAT', KEYS[1], ARGV[3])
return 1
"""
)
