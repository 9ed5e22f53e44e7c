-- What is stored about credentials, and whether it holds now. Written by decisions.py; holds nothing itself.

local shards = ...

local epochs = shards.load("epochs", 256, Map._str)
local stored = {}
for i, map in pairs(shards.load("decisions", 256, Map._str)) do stored[("%02x"):format(i)] = map end

local find, match, sub = string.find, string.match, string.sub

local decisions = {}

-- The text stored about a credential at an API, or nil.
function decisions.find(api, credential)
    local map = stored[sub(credential, -64, -63)]
    return map and map:lookup(api.decision .. credential)
end

local function minimum(key)
    return tonumber(epochs[shards.number(key, 256)]:lookup(key)) or 0
end

-- Whether nothing that a decision rests on was narrowed after its token was issued: claim >= minimum. `at` is where
-- its scopes begin.
local function is_current(api, text, epoch, who, at)
    local floor = tonumber(api.floor:lookup(api.organization))
    if not floor or epoch >= floor then return true end
    local mine = api.organization .. ":"
    local scopes, subject, client = match(text, "^([^|]*)|([^|]*)|([^|]*)|", at)
    if epoch < minimum(mine .. "organization:" .. api.organization) then return false end
    if epoch < minimum(mine .. "client:" .. client) then return false end
    if epoch < minimum(mine .. "subject:" .. subject) then return false end
    if epoch < minimum(mine .. "application:" .. match(who, "^[^|]*")) then return false end
    for scope in scopes:gmatch("[^,]+") do
        if epoch < minimum(mine .. "scope:" .. scope) then return false end
    end
    return true
end

local HEAD = "^(%d+)|(%d+)|([PS]?)([au])|(%d+)|([^|]*)|(%d*)|(%l*)|([^|]*|[^|]*)|([^|]*)|([^|]*)|()"

-- Reads a decision that holds now at this API: the type of its keys (P, S, or empty where there is no backend for
-- it), whose token it is (a, u), the plan's counter, limit and period, application|subscription, limits besides the
-- plan, what it is bound to, where its scopes begin, the assertion. nil where it does not hold.
function decisions.read(api, text, now)
    if find(text, api.owner, 1, true) ~= 1 then return nil end
    local expires, epoch, keys, holder, from, counter, limit, per, who, more, bound, at = match(text, HEAD, #api.owner + 1)
    if not expires or now >= tonumber(expires) then return nil end
    local assertion = sub(text, tonumber(from))
    if assertion == "" or not is_current(api, text, tonumber(epoch), who, at) then return nil end
    return keys, holder, counter, limit, per, who, more, bound, at, assertion
end

-- Whether a decision has one of these scopes, each between commas: only its scopes have commas after `at`.
function decisions.has_scope(text, at, scopes)
    if #scopes == 0 then return true end
    for _, scope in ipairs(scopes) do
        if find(text, scope, at, true) then return true end
    end
    return false
end

-- The scopes of a decision, with blanks between them.
function decisions.scopes(text, at)
    return ((match(text, "^,([^|]*)|", at) or ""):gsub(",$", ""):gsub(",", " "))
end

return decisions
