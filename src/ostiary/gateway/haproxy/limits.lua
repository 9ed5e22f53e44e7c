-- Which limits a call counts against: their keys, in fixed clock windows.
--
-- Says nothing about whether a call may pass. What it returns goes into the outcome (outcomes.lua); rules of the
-- configuration count and compare, each level with a counter of its own. Levels: plan (of the subscription, or
-- the one for callers without credentials), its burst and bandwidth, application (for each of its users), api and
-- resource (all callers). A plan alone is the common case and costs the least.

local folder, maps, clock = ...
local counts = assert(loadfile(folder .. "/counts.lua"))(maps)
local windows = assert(loadfile(folder .. "/windows.lua"))()

local limits = {}

local UNAUTHENTICATED = { requests = "500", per = "minute" } -- of an address at an API, where no credential is asked for

local KEPT = windows.KEPT

-- Where counts are kept, and those of bytes, by the period.
local LETTER = { second = "s", minute = "m", hour = "d", day = "d", month = "y" }
local LETTER_OF_BYTES = { second = "m", minute = "m", hour = "d", day = "d", month = "y" }

-- The periods as decisions name them, by a byte.
local PERIODS = {}
for letter, per in pairs({ s = "second", m = "minute", h = "hour", d = "day", y = "month" }) do PERIODS[letter:byte()] = per end
local UNLIMITED = ("-"):byte()

-- The place that each level has in what `more` returns; gateway.cfg and refusals.lua know them.
local PLACES = { burst = 1, application = 2, api = 3, resource = 4, bandwidth = 5 }

-- What is counted under, and how many may pass here.
local function count(id, requests, per, prefix)
    local key = id .. clock.windows[per]
    return key, counts.left(requests, prefix and prefix .. key or key)
end

-- Reads "requests+per", or "requests+per+what": a limit of all callers of an API, or of one of its resources.
function limits.parse(api_id, text)
    local requests, per, what = text:match("^(%d+)%+(%l+)%+?(%x*)$")
    assert(KEPT[per], "an unknown period")
    return { requests = requests, per = per, key = what == "" and api_id or api_id .. "." .. what }
end

-- The plan of a call by the period its decision names: the letter of where it is kept, how many may pass, its key.
function limits.plan(counter, requests, period)
    if period == UNLIMITED then return "-", "", "" end
    local per = PERIODS[period]
    local key, left = count(counter, requests, per)
    return LETTER[per], left, key
end

-- The same for a call without credentials: an address (of IPv6 a /64) is counted at each API.
function limits.plan_of_address(api, address)
    local key, left = count("address:" .. api.id .. ":" .. address, UNAUTHENTICATED.requests, UNAUTHENTICATED.per)
    return LETTER[UNAUTHENTICATED.per], left, key
end

local function put(places, level, id, requests, per)
    local bytes = level == "bandwidth"
    local key, left = count(id, requests, per, bytes and "bytes:")
    places[PLACES[level]] = (bytes and LETTER_OF_BYTES or LETTER)[per] .. left .. ">" .. key
end

-- Limits besides the plan: of the credential, as a decision has them, and of everybody. "" is none. A place is empty,
-- or the letter of where it is kept, how many may pass, `>` and the key.
function limits.more(api, resource, said)
    if said == "" and not api.limit and not resource.limit then return "" end
    local places = { "", "", "", "", "" }
    for level, key, requests, per in said:gmatch("(%l+)%+([^+&]+)%+(%d+)%+(%l+)") do
        put(places, level, key, requests, per)
    end
    if api.limit then put(places, "api", api.limit.key, api.limit.requests, api.limit.per) end
    if resource.limit then put(places, "resource", resource.limit.key, resource.limit.requests, resource.limit.per) end
    return table.concat(places, "<")
end

return limits
