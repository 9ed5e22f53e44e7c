-- How much of a limit is left for this node, when others count against it too: other nodes, and what was counted
-- here before a crash. What the maps say is described in others.py.

local maps = ...
local mode = Map.new(maps .. "/others.map", Map._str)
local others = {}
for i = 0, 63 do others[i] = Map.new(("%s/others-%02x.map"):format(maps, i), Map._str) end

local counts = {}

local function find(key)
    local number = 0
    for i = -16, -11 do
        local byte = key:byte(i)
        if byte then number = (number * 31 + byte) % 64 end
    end
    local text = others[number]:lookup(key)
    if not text then return 0, 0 end
    local elsewhere, here = text:match("^(%d+)/(%-?%d+)$")
    return tonumber(elsewhere), tonumber(here)
end

-- What this node may let through of `limit` in the window that `key` names, as in the stick tables. Others' counts
-- are a second old. Where nobody says what N nodes count now, each has a part of what was left then, at least 1.
function counts.left(limit, key)
    local how = mode:lookup("mode")
    if not how then return limit end
    local elsewhere, here = find(key)
    local rest = math.max(0, limit - elsewhere - here)
    if how == "sum" then return here + rest end
    local nodes = tonumber(how:match("^share%-(%d+)$"))
    local part = rest // nodes
    if part == 0 and here == 0 and rest > 0 then part = 1 end
    return here + part
end

return counts
