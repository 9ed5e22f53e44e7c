-- Where the calls of an API go: the addresses of its backend, as the route's map value has them.
--
-- A value is items joined by `,`: `=MS` is the time-out of an answer, `@NAME` a backend of the API's own, `!NAME`
-- the refusal of every call, anything else an address `scheme+IP+port+authority+name+path`. What a call to a
-- backend of an API's own says of itself is in own.map, which belongs to the configuration of this worker: both
-- change by a reload. Several addresses take turns; one that keeps failing (the table `targets`, filled by
-- gateway.cfg) is left out while another does not.

local decode, maps = ...
local own = Map.new(maps .. "/own.map", Map._str)

local M = {}

local ADDRESS = "^(%a+)%+([^+]+)%+(%d+)%+([^+]+)%+([^+]+)%+([^+]*)$"

local CANNOT = { pending = "not_ready", quarantined = "quarantined" }

-- Completes a target: what an outcome says of it (outcomes.lua), which has `^` between its parts.
local function complete(target, flags, timeout)
    local sni = target.sni or ""
    for _, part in ipairs({ target.key, target.base, target.authority, sni }) do
        assert(not part:find("[%^%s]"), "a character that an outcome cannot have")
    end
    flags = flags .. (target.own and "o" or target.sni and "t" or "") .. (timeout and "w" or "")
    target.flags = flags == "" and "-" or flags
    target.where = "^" .. target.authority .. "^" .. target.key .. "^"
    target.how = "^" .. sni .. "^" .. (timeout or "") .. "^"
    return target
end

-- A backend of the API's own; a worker from before the reload that brought it has none.
local function own_target(name)
    local entry = own:lookup(name)
    if not entry then return nil end
    local authority, base = entry:match("^([^+]+)%+([^+]*)$")
    return { key = name, own = true, authority = decode(authority), base = decode(base) }
end

local function shared_target(text, organization)
    local scheme, address, port, authority, sni, base = text:match(ADDRESS)
    return {
        key = ("%s|%s|%s"):format(decode(address), port, organization), -- the rules read address and port of it
        sni = scheme == "https" and decode(sni) or nil, authority = decode(authority), base = decode(base),
    }
end

-- Reads a value; nil is no backend for keys of this type. `organization` shares no counter with another; `flags`
-- are those of every call of the API.
function M.parse(text, organization, flags)
    if text == "-" then return nil end
    local targets, timeout = { turn = 0 }, nil
    for one in text:gmatch("[^,]+") do
        local kind, rest = one:sub(1, 1), one:sub(2)
        if kind == "=" then
            timeout = rest:match("^%d+$")
        elseif kind == "@" then
            targets[#targets + 1] = own_target(rest)
            if #targets == 0 then targets.cannot = "not_ready" end
        elseif kind == "!" then
            targets.cannot = CANNOT[rest] or "internal"
        else
            targets[#targets + 1] = shared_target(one, organization)
        end
    end
    for _, target in ipairs(targets) do complete(target, flags, timeout) end
    if #targets == 0 and not targets.cannot then targets.cannot = "no_address" end
    return targets
end

-- Whether a target keeps failing and is not to be tried yet: the table has the time of the next try first.
local function is_suspended(target, now)
    local entry = core.backends["targets"].stktable:lookup(target.key)
    return entry ~= nil and (entry.gpt or 0) > now
end

-- The target whose turn it is. `targets.cannot` has been looked at.
function M.choose(targets, now)
    local count = #targets
    if count == 1 then return targets[1] end
    for _ = 1, count do
        targets.turn = targets.turn % count + 1
        if not is_suspended(targets[targets.turn], now) then break end
    end
    return targets[targets.turn]
end

return M
