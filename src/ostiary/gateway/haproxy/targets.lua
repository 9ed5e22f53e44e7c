-- Where the calls of an API go: the addresses of its backend, as the route's map value has them.
--
-- Loaded by decide.lua. A value is items joined by `,`: `=MS` is the time-out of an answer, `@NAME` a backend of
-- the API's own, `!NAME` the refusal of every call, anything else an address
-- `scheme+IP+port+authority+name+path`. What a call to a backend of an API's own says of itself is in own.map,
-- which belongs to the configuration of this worker: both change by a reload. Several addresses take turns; one that keeps failing (the
-- table `targets`, filled by gateway.cfg) is left out while another does not.

local decode, maps = ...
local own = Map.new(maps .. "/own.map", Map._str)

local M = {}

local FAILURES = 5 -- in a row: as in gateway.cfg
local ADDRESS = "^(%a+)%+([^+]+)%+(%d+)%+([^+]+)%+([^+]+)%+([^+]*)$"

local CANNOT = { pending = "not_ready", quarantined = "quarantined" }

-- A backend of the API's own; a worker from before the reload that brought it has none.
local function own_target(targets, name)
    local entry = own:lookup(name)
    if not entry then
        targets.cannot = "not_ready"
        return
    end
    local authority, base = entry:match("^([^+]+)%+([^+]*)$")
    targets.own, targets.authority, targets.base = name, decode(authority), decode(base)
end

-- Reads a value; nil is no backend for keys of this type. `organization` shares no counter with another.
function M.parse(text, organization)
    if text == "-" then return nil end
    local targets = { turn = 0 }
    for one in text:gmatch("[^,]+") do
        local kind, rest = one:sub(1, 1), one:sub(2)
        if kind == "=" then
            targets.timeout = tonumber(rest)
        elseif kind == "@" then
            own_target(targets, rest)
        elseif kind == "!" then
            targets.cannot = CANNOT[rest] or "internal"
        else
            local scheme, address, port, authority, sni, base = one:match(ADDRESS)
            targets[#targets + 1] = {
                https = scheme == "https", authority = decode(authority), sni = decode(sni), base = decode(base),
                key = ("%s|%s|%s"):format(organization, decode(address), port), -- the rules read address and port of it
            }
        end
    end
    return targets
end

local function suspended(txn, target)
    local failures = tonumber(txn.c:table_gpt(target.key, 0, "targets")) or 0
    return failures >= FAILURES and (tonumber(txn.c:table_gpt(target.key, 1, "targets")) or 0) > os.time()
end

local function choose(txn, targets)
    local count = #targets
    for _ = 1, count do
        targets.turn = targets.turn % count + 1
        if count == 1 or not suspended(txn, targets[targets.turn]) then break end
    end
    return targets[targets.turn]
end

local function send_to_address(txn, target)
    txn:set_var("txn.target", target.key)
    if target.https then txn:set_var("txn.sni", target.sni) end
end

local function send_to_own(txn, name)
    txn:set_var("txn.target", name)
    txn:set_var("txn.own", name)
end

-- Sends this call on; returns the name of a refusal where it cannot.
function M.send(txn, targets, path)
    if targets.cannot then return targets.cannot end
    if not targets.own and #targets == 0 then return "no_address" end
    local target = targets.own and targets or choose(txn, targets)
    if targets.own then send_to_own(txn, targets.own) else send_to_address(txn, target) end
    if targets.timeout then txn:set_var("txn.timeout", targets.timeout) end
    if path == "" and target.base == "" then path = "/" end
    txn:set_var("txn.authority", target.authority)
    txn:set_var("txn.path", target.base .. path)
end

return M
