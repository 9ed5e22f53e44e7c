-- Which API a path is about, and what the plan says of it.
--
-- The formats of the maps are described in __init__.py. A route's value begins with a digest of all of it, under
-- which its parsed form is kept: a change is another digest, so nothing that is kept can be out of date.

local folder, maps, router, credentials, cors, targets, limits, shards, FIRST = ...

local CACHED = 1024 -- small APIs whose parsed form each generation of the cache keeps; of large ones it is fewer

local routes = shards.load("routes", 64, Map._beg)
local resources = shards.load("resources", 64, Map._str)
local floors = shards.load("floors", 64, Map._str)

local match, sub, number = string.match, string.sub, shards.number_of_route

-- Two generations, so the cache is bounded and what is used stays.
local young, old = {}, {}
local young_count = 0

local function remember(digest, api)
    if young_count >= CACHED then young, old, young_count = {}, young, 0 end
    young[digest] = api
    young_count = young_count + 1 + api.size // 2048
    return api
end

-- Where an API keeps the targets of a type of keys: as decisions name it.
local PRODUCTION, SANDBOX = string.byte("P"), string.byte("S")

local ROUTE = "^3|%x+|([^|]*)|(%u+)|([^|]*)|(%d+)|(%x+)|(%x+)|(%x*)|(%d+)|([^|]*)|([^|]*)|([^|]*)$"

-- Whose tokens a resource takes, as decisions say whose one is; "none" takes calls without.
local HOLDERS = setmetatable({ application = string.byte("a"), user = string.byte("u"), none = "none" }, { __index = function(_, said) error(said) end })

-- What an API or a resource may say by name, and how it is read. Whatever is not here makes the call fail.
local SAID = {
    limit = limits.parse, cors = cors.parse, accepts = credentials.parse,
    auth = function(_, said) return HOLDERS[said] end,
}

-- The refusal of every call to an API in this state, or false. A state that is not here is refused too.
local REFUSED_STATE = {
    CREATED = "not_found", RETIRED = "not_found", BLOCKED = "api_blocked", UNSUPPORTED = "unsupported",
    DENIED = "denied", PUBLISHED = false, PROTOTYPED = false, DEPRECATED = false,
}

local function refused_in(state)
    local refused = REFUSED_STATE[state]
    if refused == nil then return "unsupported" end
    return refused
end

local function parse(text)
    local id, state, organization, offset, floor, shard, digest, count, production, sandbox, more = text:match(ROUTE)
    local function read(name, said) return SAID[name](id, said) end
    local chunks = {}
    for n = 1, tonumber(count) do
        chunks[n] = assert(resources[tonumber(shard, 16)]:lookup(("%s.%s.%d"):format(id, digest, n)), "a chunk is missing")
    end
    local listed = table.concat(chunks, "|")
    local api = {
        accepts = credentials.USUAL, cors = cors.USUAL,
        id = id, size = #listed, refused = refused_in(state), organization = organization, offset = tonumber(offset),
        floor = floors[tonumber(floor, 16)], trie = router.parse(listed, read),
        decision = id .. ":", usage = id .. "|", owner = organization .. "|", first = FIRST + #organization + 1,
    }
    for name, said in more:gmatch("([%l_]+)=([^,]*)") do api[name] = read(name, said) end
    api.flags = cors.flags(api.cors)
    api[PRODUCTION] = targets.parse(production, organization, api.flags)
    api[SANDBOX] = targets.parse(sandbox, organization, api.flags)
    return api
end

local apis = { PRODUCTION = PRODUCTION, SANDBOX = SANDBOX }

-- Finds the API of a path, which begins `text` and has one slash more at its end, the byte `last`: the API, the
-- organization's name, the path inside the API; nil where there is none.
function apis.find(text, last)
    local realm, stop = match(text, "^/t/([^/^]+)/[^/^]+()")
    if not realm then
        if sub(text, 1, 3) == "/t/" then return nil end
        realm, text, last = "default", "/t/default" .. text, last + 10
        stop = match(text, "^/t/default/[^/^]+()")
        if not stop then return nil end
    end
    local route = routes[number(text, #realm + 3, stop, 64)]:lookup(sub(text, 4, last))
    if not route then return nil end
    local digest = sub(route, 3, 26)
    local api = young[digest]
    if not api then api = remember(digest, old[digest] or parse(route)) end
    return api, realm, sub(text, #realm + api.offset + 4, last - 1)
end

return apis
