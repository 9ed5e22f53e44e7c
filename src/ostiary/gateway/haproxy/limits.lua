-- Which limits a call counts against: their keys, in fixed clock windows.
--
-- Says nothing about whether a call may pass. It sets variables; rules of the configuration count and compare,
-- each level with a counter of its own. Levels: plan (of the subscription, or the one for callers without
-- credentials), its burst and bandwidth, application (for each of its users), api and resource (all callers).
-- A plan alone is the common case and costs the least; txn.over says that there is more.

local folder, maps = ...
local counts = assert(loadfile(folder .. "/counts.lua"))(maps)
local windows = assert(loadfile(folder .. "/windows.lua"))()

local limits = {}

local UNAUTHENTICATED = { requests = 500, per = "minute" } -- of an address at an API, where no credential is asked for

local KEPT = windows.KEPT
local KEPT_BYTES = { second = "minute", minute = "minute", hour = "day", day = "day", month = "month" }
local BANDWIDTH = 32 -- its bit in txn.over

-- The variables of a level, by period: the key and the limit.
local function variables(level, kept_in)
    local names = {}
    for per, kept in pairs(kept_in or KEPT) do
        names[per] = { key = ("txn.%s_%s"):format(level, kept), limit = ("txn.%s_limit"):format(level) }
    end
    return names
end

local PLAN, API, RESOURCE = variables("plan"), variables("api"), variables("resource")
local MORE = { burst = variables("burst"), bandwidth = variables("bandwidth", KEPT_BYTES), application = variables("application") }

local function count(txn, level, id, requests, per, now)
    local names, key = level[per], id .. "|" .. windows.number(per, now)
    local left = counts.left(requests, level == MORE.bandwidth and "bytes:" .. key or key)
    txn:set_var(names.key, key)
    txn:set_var(names.limit, left)
    return key, left
end

local function also(txn, level, limit, now)
    count(txn, level, limit.key, limit.requests, limit.per, now)
end

-- Reads "requests+per", or "requests+per+what": a limit of all callers of an API, or of one of its resources.
function limits.parse(api_id, text)
    local requests, per, what = text:match("^(%d+)%+(%l+)%+?(%x*)$")
    assert(KEPT[per], "an unknown period")
    return { requests = tonumber(requests), per = per, key = what == "" and api_id or api_id .. "." .. what }
end

-- Whether the bytes of a window are used up. They are counted as calls end, so the last call may go beyond.
local function is_used_up(txn, key, kept, kilobytes)
    local bytes_table = "bytes_per_" .. kept
    return txn.c:table_kbytes_in(key, bytes_table) + txn.c:table_kbytes_out(key, bytes_table) >= kilobytes
end

-- Limits besides the plan: of the credential, as a decision has them, and of everybody.
local function meter(txn, api, resource, more, now)
    local over = 0
    for level, key, requests, per in more:gmatch("(%l+)%+([^+,]+)%+(%d+)%+(%l+)") do
        local counted, left = count(txn, MORE[level], key, tonumber(requests), per, now)
        if level == "bandwidth" and is_used_up(txn, counted, KEPT_BYTES[per], left) then over = BANDWIDTH end
    end
    txn:set_var("txn.over", over)
    if api.limit then also(txn, API, api.limit, now) end
    if resource.limit then also(txn, RESOURCE, resource.limit, now) end
end

-- Sets what the rules count a call against.
function limits.apply(txn, api, resource, decision, now)
    if decision.counter ~= "" then count(txn, PLAN, decision.counter, decision.limit, decision.per, now) end
    local more = decision.more
    if more ~= "" or api.limit or resource.limit then meter(txn, api, resource, more, now) end
end

-- The same for a call without credentials: an address (of IPv6 a /64) is counted at each API.
function limits.apply_to_address(txn, api, resource, now)
    local key = "address:" .. api.id .. ":" .. txn.c:ipmask(txn.f:src(), 32, 64)
    count(txn, PLAN, key, UNAUTHENTICATED.requests, UNAUTHENTICATED.per, now)
    if api.limit or resource.limit then meter(txn, api, resource, "", now) end
end

return limits
