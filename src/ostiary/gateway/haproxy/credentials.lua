-- API keys: where a call shows one, and where a restricted one may be shown.
--
-- A key is in the header `apikey` or in the query (`?apikey=`), never beside another credential. It is taken out
-- of both, and what goes on is `k` and its SHA-256, so that no bearer token can ever stand for it.

local decode = ...

local credentials = {}

-- Takes the key out of the query; returns the values found and the query without them.
local function from_query(query)
    local values, kept = {}, {}
    for separator, part in ("&" .. query):gmatch("([&;])([^&;]*)") do
        if part == "apikey" or part:sub(1, 7) == "apikey=" then
            values[#values + 1] = part:sub(8)
        else
            kept[#kept + 1] = separator .. part
        end
    end
    return values, table.concat(kept):sub(2)
end

-- Sets txn.credential from an API key; more than one credential is a refusal.
function credentials.take(txn)
    local values, query = from_query(txn.f:query() or "")
    if #values > 0 then
        if query == "" then txn.http:req_set_uri(txn.f:path()) else txn.http:req_set_query(query) end
    end
    if txn.f:req_fhdr_cnt("apikey") > 0 then
        for _, value in pairs(txn.http:req_get_headers()["apikey"]) do values[#values + 1] = value end
        txn.http:req_del_header("apikey")
    end
    if #values == 0 then return end
    if #values > 1 or txn.f:req_fhdr_cnt("authorization") > 0 then
        return txn:set_var("txn.refusal", "several_credentials")
    end
    txn:set_var("txn.credential", "k" .. txn.c:hex(txn.c:sha2(values[1], 256)):lower())
end

-- What kind of credential this is.
function credentials.kind(credential)
    return #credential == 65 and "api_key" or "oauth2" -- `k` and 64 digits
end

-- What an API takes that says nothing.
credentials.USUAL = { oauth2 = true }

-- Reads what kinds of credentials an API takes: "oauth2+api_key".
function credentials.parse(_, text)
    local kinds = {}
    for kind in text:gmatch("[^+]+") do kinds[kind] = true end
    return kinds
end

-- An address as two 64-bit numbers; one of IPv4 as ::ffff:a.b.c.d.
local function number(text)
    text = text:gsub("%d+%.%d+%.%d+%.%d+$", function(dotted)
        local a, b, c, d = dotted:match("(%d+)%.(%d+)%.(%d+)%.(%d+)")
        local hex = ("%02x%02x:%02x%02x"):format(a, b, c, d)
        return text == dotted and "::ffff:" .. hex or hex
    end)
    local head, tail = text:match("^(.-)::(.*)$")
    local first, last = {}, {}
    for word in (head or text):gmatch("%x+") do first[#first + 1] = tonumber(word, 16) end
    for word in (tail or ""):gmatch("%x+") do last[#last + 1] = tonumber(word, 16) end
    local words = {}
    for i = 1, 8 do words[i] = first[i] or last[i - 8 + #last] or 0 end
    local function half(from) return words[from] << 48 | words[from + 1] << 32 | words[from + 2] << 16 | words[from + 3] end
    return half(1), half(5)
end

local function within(high, low, network)
    local length, digits = network:match("^(%d+)%.(%x+)$")
    length = tonumber(length)
    local from, to = tonumber(digits:sub(1, 16), 16), tonumber(digits:sub(17), 16)
    if length <= 64 then return (high ~ from) >> (64 - length) == 0 end
    return high == from and (low ~ to) >> (128 - length) == 0
end

local function origin_and_path(url)
    local scheme, host, path = url:match("^(%a+)://([^/?#]+)([^?#]*)")
    if not scheme or host:find("[@\\]") then return nil end
    return scheme:lower(), host:lower(), path
end

local function named(referer, pattern)
    local scheme, host, path = origin_and_path(referer)
    local wanted_scheme, wanted_host, wanted_path = origin_and_path(pattern)
    if not scheme or scheme ~= wanted_scheme then return false end
    if wanted_host:sub(1, 2) == "*." then
        local ending = wanted_host:sub(2)
        if #host <= #ending or host:sub(-#ending) ~= ending then return false end
    elseif host ~= wanted_host then
        return false
    end
    return path == wanted_path or path:sub(1, #wanted_path + 1) == wanted_path .. "/" or wanted_path == ""
end

local function from_referer(txn, patterns)
    if txn.f:req_fhdr_cnt("referer") ~= 1 then return false end
    local referer = txn.f:req_fhdr("referer")
    for _, pattern in ipairs(patterns) do
        if named(referer, pattern) then return true end
    end
    return false
end

local function from_address(txn, networks)
    local high, low = number(txn.f:src())
    for _, network in ipairs(networks) do
        if within(high, low, network) then return true end
    end
    return false
end

-- Names the refusal of a call that a restricted key may not make; nil where it may. `bound` is a list of
-- `a` and a network, `r` and an encoded referer.
function credentials.refusal(txn, bound)
    if bound == "" then return nil end
    local networks, referers = {}, {}
    for kind, value in bound:gmatch("([ar])([^&]+)") do
        if kind == "a" then networks[#networks + 1] = value else referers[#referers + 1] = decode(value) end
    end
    if #networks > 0 and not from_address(txn, networks) then return "wrong_address" end
    if #referers > 0 and not from_referer(txn, referers) then return "wrong_referer" end
    return nil
end

return credentials
