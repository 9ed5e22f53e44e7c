-- What is stored about credentials, and whether it holds now. Written by decisions.py; holds nothing itself.
--
-- The head is read as numbers: as texts, each part of it would be allocated and thrown away for each call.

local shards, clock = ...

local epochs = shards.load("epochs", 256, Map._str)
local stored = {}
for i, map in pairs(shards.load("decisions", 256, Map._str)) do stored[("%02x"):format(i)] = map end

local byte, find, match, sub, unpack = string.byte, string.find, string.match, string.sub, string.unpack

local FORMAT = byte("6")
local HEAD = ">BI8I8BBBBI6" -- format, end, epoch, keys, holder, the plan's period, whether more is said, place of the assertion
local FIRST = 29 -- the byte after the head
local LONGER_THAN = 384 -- without an assertion it is none

local decisions = { MORE = byte("+"), FIRST = FIRST }

-- The text stored about a credential at an API, or nil.
function decisions.find(api, credential)
    local map = stored[sub(credential, -64, -63)]
    return map and map:lookup(api.decision .. credential)
end

local function minimum(key)
    return tonumber(epochs[shards.number(key, 256)]:lookup(key)) or 0
end

-- Whether nothing that a decision rests on was narrowed after its token was issued: claim >= minimum.
local function is_current(api, text)
    local epoch, mine = tonumber(sub(text, 10, 17), 16), api.organization .. ":"
    local application, rest = match(text, "^[^|]*|[^|]*|[^|]*|([^|]*)|[^|]*|[^|]*|[^|]*|(.*)", api.first)
    local scopes, subject, client = match(rest, "^([^|]*)|([^|]*)|([^|]*)|")
    if epoch < minimum(mine .. "organization:" .. api.organization) then return false end
    if epoch < minimum(mine .. "client:" .. client) then return false end
    if epoch < minimum(mine .. "subject:" .. subject) then return false end
    if epoch < minimum(mine .. "application:" .. application) then return false end
    for scope in scopes:gmatch("[^,]+") do
        if epoch < minimum(mine .. "scope:" .. scope) then return false end
    end
    return true
end

-- Reads a decision that holds now at this API, as bytes: the type of its keys (P, S, or another where there is no
-- backend for it), whose token it is (a, u), the plan's period, whether more is said; and the place of the
-- assertion, as outcomes.lua compares it. nil where it does not hold.
function decisions.read(api, text)
    if #text <= LONGER_THAN then return nil end
    local format, ends, epoch, keys, holder, period, more, at = unpack(HEAD, text)
    if format ~= FORMAT or ends <= clock.digits or find(text, api.owner, FIRST, true) ~= FIRST then return nil end
    local floor = api.floor:lookup(api.organization)
    if floor and epoch < unpack(">I8", floor) and not is_current(api, text) then return nil end
    return keys, holder, period, more, at
end

-- Whether a decision has one of these scopes, each between commas: only its scopes have commas.
function decisions.has_scope(text, scopes)
    if #scopes == 0 then return true end
    for _, scope in ipairs(scopes) do
        if find(text, scope, FIRST, true) then return true end
    end
    return false
end

-- The scopes of a decision, with blanks between them.
function decisions.scopes(text)
    return ((match(text, "|,([^|]*)|") or ""):gsub(",$", ""):gsub(",", " "))
end

-- The plan's counter and how many may pass.
function decisions.plan(api, text)
    return match(text, "^([^|]*)|(%d*)|", api.first)
end

-- application|subscription
function decisions.who(api, text)
    return match(text, "^[^|]*|[^|]*|[^|]*|([^|]*|[^|]*)|", api.first)
end

-- What else is said: limits besides the plan, and what a restricted key is bound to.
function decisions.more(api, text)
    return match(text, "^[^|]*|[^|]*|[^|]*|[^|]*|[^|]*|([^|]*)|([^|]*)|", api.first)
end

return decisions
