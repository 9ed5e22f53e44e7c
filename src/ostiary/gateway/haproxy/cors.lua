-- What browsers are told about calls from other origins (Fetch §3.2.2).
--
-- Notes it in variables as soon as the API is known, so refusals carry it too; rules of the configuration write
-- the headers. Decides nothing about a call but a preflight, which the gateway answers itself, before any
-- credential, unless the publisher has an OPTIONS resource there.

local decode = ...

local cors = {}

local function list(text)
    local values = {}
    for one in text:gmatch("[^+]+") do values[#values + 1] = decode(one) end
    return values
end

local function set(values)
    local members = {}
    for _, one in ipairs(values) do members[one] = true end
    return members
end

-- Reads "off", or "origins:methods:headers:credentials" with "+" between the values of a list.
function cors.parse(_, text)
    if text == "off" then return false end
    local origins, methods, headers, credentials = text:match("^([^:]*):([^:]*):([^:]*):([01])$")
    origins = set(list(assert(origins, "cors")))
    return {
        any = origins["*"], origins = origins, methods = set(list(methods)),
        headers = table.concat(list(headers), ","), credentials = credentials == "1",
    }
end

-- What an API has that says nothing: as in plan/things.py.
cors.USUAL = cors.parse(nil, "%2A:GET+PUT+POST+DELETE+PATCH+OPTIONS:authorization+Access-Control-Allow-Origin"
    .. "+Content-Type+SOAPAction+apikey+Internal-Key:0")

-- What every outcome of an API says: `v` where answers depend on the origin, even without one.
function cors.flags(rules)
    return rules and not rules.any and "v" or ""
end

-- Notes what every answer to this call says; it has an Origin.
function cors.note(txn, rules)
    if not rules then return end
    local origin = txn.f:req_fhdr("origin")
    if not origin then return end
    txn:set_var("txn.cors", true)
    if not (rules.any or rules.origins[origin]) then return end
    txn:set_var("txn.cors_origin", rules.any and "*" or origin)
    if rules.credentials and not rules.any then txn:set_var("txn.cors_credentials", true) end
end

-- Whether the gateway answers this call as a preflight; `methods` are those of the resource.
function cors.preflight(txn, rules, methods)
    if not rules or methods.OPTIONS or txn.f:method() ~= "OPTIONS" then return false end
    if not txn.f:req_fhdr("origin") or not txn.f:req_fhdr("access-control-request-method") then return false end
    local allowed = {}
    for name in pairs(methods) do
        if rules.methods[name] then allowed[#allowed + 1] = name end
    end
    table.sort(allowed)
    txn:set_var("txn.cors_methods", table.concat(allowed, ","))
    txn:set_var("txn.cors_headers", rules.headers)
    return true
end

return cors
