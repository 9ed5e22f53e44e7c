-- How much of a limit is left for this node, when others count against it too.

local counts = {}

-- What this node may let through of `limit` in the window that `key` names, as in the stick tables.
-- One node has all of it.
function counts.left(limit, _)
    return limit
end

return counts
