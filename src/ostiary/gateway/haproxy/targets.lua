-- Where the calls of an API go: the addresses of its backend, as the route's map value has them.
--
-- Loaded by decide.lua. A value is items joined by `,`: `=MS` is the time-out of an answer, anything else an
-- address `scheme+IP+port+authority+name+path`. Several addresses take turns; one that keeps failing (the
-- table `targets`, filled by gateway.cfg) is left out while another does not.

local decode = ...

local M = {}

local FAILURES = 5 -- in a row: as in gateway.cfg
local ADDRESS = "^(%a+)%+([^+]+)%+(%d+)%+([^+]+)%+([^+]+)%+([^+]*)$"

-- Reads a value; nil is no backend for keys of this type. `organization` shares no counter with another.
function M.parse(text, organization)
    if text == "-" then return nil end
    local targets = { turn = 0 }
    for one in text:gmatch("[^,]+") do
        local timeout = one:match("^=(%d+)$")
        if timeout then
            targets.timeout = tonumber(timeout)
        else
            local scheme, address, port, authority, sni, base = one:match(ADDRESS)
            targets[#targets + 1] = {
                https = scheme == "https", address = decode(address), port = tonumber(port),
                authority = decode(authority), sni = decode(sni), base = decode(base),
                key = ("%s|%s|%s"):format(organization, address, port),
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

-- Sends this call on; returns the name of a refusal where it cannot.
function M.send(txn, targets, path)
    if #targets == 0 then return "no_address" end
    local target = choose(txn, targets)
    txn:set_var("txn.target", target.key)
    txn:set_var("txn.address", target.address)
    txn:set_var("txn.port", target.port)
    txn:set_var("txn.authority", target.authority)
    if target.https then txn:set_var("txn.sni", target.sni) end
    if targets.timeout then txn:set_var("txn.timeout", targets.timeout) end
    if path == "" and target.base == "" then path = "/" end
    txn:set_var("txn.path", target.base .. path)
end

return M
