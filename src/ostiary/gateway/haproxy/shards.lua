-- Maps that are split by their keys, because HAProxy 2.8 searches a map from its beginning to change an entry.

local maps = ...

local shards = {}

local bytes = string.byte

-- Loads the maps of a family, by their numbers.
function shards.load(family, count, method)
    local loaded = {}
    for i = 0, count - 1 do
        loaded[i] = Map.new(("%s/%s-%02x.map"):format(maps, family, i), method)
    end
    return loaded
end

-- The number of the map that has a key: `shard_of` in shards.py finds the same one. Keys differ at their ends.
function shards.number(key, count)
    local a, b, c, d = bytes(key, -4, -1)
    if not d then return 0 end
    return (((a * 37 + b) * 37 + c) * 37 + d) % count
end

-- The same of a route, `/t/ORGANIZATION/SEGMENT/`: of the ends of both; `first` is the last byte of the first,
-- `stop` the byte after the second (`route_shard_of`).
function shards.number_of_route(text, first, stop, count)
    local a, b, c = bytes(text, first - 2, first)
    local d, e, f = bytes(text, stop - 3, stop - 1)
    return (((((a * 37 + b) * 37 + c) * 37 + d) * 37 + e) * 37 + f) % count
end

return shards
