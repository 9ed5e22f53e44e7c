-- How much of a limit is left for this node, when others count against it too: other nodes, and what was counted
-- here before a crash. What the maps say is described in others.py.

local maps = ...
local mode = Map.new(maps .. "/others.map", Map._str)
local others = {}
for i = 0, 63 do others[i] = Map.new(("%s/others-%02x.map"):format(maps, i), Map._str) end

local counts = {}

-- The number of the map of a key (others_map in others.py): of its last bytes but ten, fewer where it is short.
local function number_of(key)
    local a, b, c, d, e, f = key:byte(-16, -11)
    if f then return (((((a * 31 + b) * 31 + c) * 31 + d) * 31 + e) * 31 + f) % 64 end
    local number = 0
    for _, byte in ipairs({ a, b, c, d, e }) do number = number * 31 + byte end
    return number % 64
end

local function find(key)
    local text = others[number_of(key)]:lookup(key)
    if not text then return 0, 0 end
    local elsewhere, here = text:match("^(%d+)/(%-?%d+)$")
    return tonumber(elsewhere), tonumber(here)
end

-- What this node may let through of `limit` (digits) in the window that `key` names, as in the stick tables. Others' counts
-- are a second old. Where nobody says what N nodes count now, each has a part of what was left then, at least 1.
function counts.left(limit, key)
    local how = mode:lookup("mode")
    if not how then return limit end
    local elsewhere, here = find(key)
    local rest = math.max(0, tonumber(limit) - elsewhere - here)
    if how == "sum" then return here + rest end
    local nodes = tonumber(how:match("^share%-(%d+)$"))
    local part = rest // nodes
    if part == 0 and here == 0 and rest > 0 then part = 1 end
    return here + part
end

return counts
