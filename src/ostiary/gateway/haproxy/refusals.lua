-- How a refusal looks: status, code and text (wso2-compatible codes), as JSON or XML by Accept.
--
-- Only fixed texts and values made here reach an answer, so nothing needs escaping.

local folder = ...
local windows = assert(loadfile(folder .. "/windows.lua"))()
local outcomes = assert(loadfile(folder .. "/outcomes.lua"))()
local decode = assert(loadfile(folder .. "/router.lua"))().decode

local SECURITY = "http://wso2.org/apimanager/security"
local THROTTLING = "http://wso2.org/apimanager/throttling"
local CREDENTIALS = "Make sure you have provided the correct security credentials"

local REFUSALS = {
    bad_request = { 400, "400", "Bad Request", "The path or the headers of the request are ambiguous" },
    headers_too_large = { 431, "431", "Request Header Fields Too Large", "The headers of the request are larger than 16384 bytes" },
    body_too_large = { 413, "413", "Content Too Large", "The body of the request is larger than this endpoint takes" },
    not_found = { 404, "404", "Not Found", "The requested resource is not available" },
    no_resource = { 404, "900906", "No matching resource found in the API for the given request", "Check the path of the request" },
    wrong_method = { 405, "900906", "No matching resource found in the API for the given request", "The resource does not take this method" },
    missing_token = { 401, "900902", "Missing Credentials", "Invalid Credentials. Make sure your API invocation call has a header: 'Authorization : Bearer ACCESS_TOKEN'" },
    invalid_token = { 401, "900901", "Invalid Credentials", "Invalid Credentials. " .. CREDENTIALS, challenge = 'error="invalid_token"' },
    no_endpoint = { 401, "900901", "Invalid Credentials", "The API has no endpoint for keys of this type", challenge = 'error="invalid_token"' },
    several_credentials = { 400, "400", "Bad Request", "The call shows more than one credential: send one, in Authorization, in apikey or as the query's apikey" },
    wrong_credential = { 401, "900901", "Invalid Credentials", "The API does not take credentials of this kind" },
    wrong_token_type = { 401, "900905", "Incorrect Access Token Type is provided", "The resource takes tokens of users only, or of applications only" },
    wrong_address = { 403, "900908", "Resource forbidden", "The API key may not be used from this address" },
    wrong_referer = { 403, "900908", "Resource forbidden", "The API key may not be used from this page" },
    denied = { 403, "900805", "Message blocked", "You have been blocked from accessing the resource" },
    denied_caller = { 403, "900805", "Message blocked", "You have been blocked from accessing the resource" },
    subscription_blocked = { 401, "900907", "The requested API is temporarily blocked", "The subscription to the API is blocked" },
    subscription_inactive = { 401, "900909", "The subscription to the API is inactive", "The subscription to the API waits for approval or was rejected" },
    not_subscribed = { 403, "900908", "Resource forbidden", "The application is not subscribed to the API" },
    insufficient_scope = { 403, "900910", "The access token does not allow you to access the requested resource", "The access token lacks a scope of the resource" },
    throttled = { 429, "900804", "Message throttled out", nil, namespace = THROTTLING },
    throttled_bandwidth = { 429, "900804", "Message throttled out", nil, namespace = THROTTLING },
    throttled_burst = { 429, "900807", "Message throttled out", nil, namespace = THROTTLING },
    throttled_application = { 429, "900803", "Message throttled out", nil, namespace = THROTTLING },
    throttled_api = { 429, "900800", "Message throttled out", nil, namespace = THROTTLING },
    throttled_resource = { 429, "900802", "Message throttled out", nil, namespace = THROTTLING },
    guessing = { 429, "900806", "Message throttled out", "Too many refused credentials came from this address", namespace = THROTTLING, retry_after = 10 },
    api_blocked = { 503, "700700", "API blocked", "This API has been blocked temporarily. Please try again later or contact the system administrators.", retry_after = 60 },
    unsupported = { 503, "900900", "Unclassified Authentication Failure", "This gateway cannot enforce what the API demands", retry_after = 60 },
    unavailable = { 503, "900900", "Unclassified Authentication Failure", "The credentials cannot be checked now", retry_after = 2 },
    not_ready = { 503, "900900", "Unclassified Authentication Failure", "The gateway is starting", retry_after = 2 },
    overloaded = { 503, "303001", "Runtime Error", "The backend of the API has too many calls under way", retry_after = 1 },
    suspended = { 503, "303001", "Runtime Error", "The backend of the API keeps failing and is tried again shortly" },
    quarantined = { 503, "303001", "Runtime Error", "This gateway cannot use the backend of the API as it is configured", retry_after = 60 },
    no_address = { 503, "303001", "Runtime Error", "The backend of the API has no known address", retry_after = 5 },
    internal = { 500, "900900", "Unclassified Authentication Failure", "The gateway could not decide" },
}

-- The quality a client gives a media type: that of the most specific range that covers it (RFC 9110 §12.5.1).
local function quality(accept, kind, subtype)
    local best, specific = 0, 0
    for range in accept:gmatch("[^,]+") do
        local k, s, parameters = range:match("^%s*([^/;%s]+)/([^;%s]+)%s*(.*)$")
        if k then
            k, s = k:lower(), s:lower()
            local q = tonumber(parameters:match("[qQ]%s*=%s*([%d.]+)") or "1") or 0
            local how = (k == kind and s == subtype and 3) or (k == kind and s == "*" and 2) or (k == "*" and s == "*" and 1) or 0
            if how > specific then best, specific = q, how end
        end
    end
    return best
end

local function prefers_xml(accept)
    if not accept or #accept > 2000 then return false end
    local json = quality(accept, "application", "json")
    return math.max(quality(accept, "application", "xml"), quality(accept, "text", "xml")) > json
end

local JSON = '{"code":"%s","message":"%s","description":"%s"}'
local JSON_LATER = '{"code":"%s","message":"%s","description":"%s","nextAccessTime":"%s"}'
local XML = '<%s:fault xmlns:%s="%s"><%s:code>%s</%s:code><%s:message>%s</%s:message><%s:description>%s</%s:description>%s</%s:fault>'

local function body(refusal, description, later, xml)
    local code, message = refusal[2], refusal[3]
    if xml then
        local ns = refusal.namespace or SECURITY
        local p = ns == THROTTLING and "amt" or "ams"
        local more = later and ("<%s:nextAccessTime>%s</%s:nextAccessTime>"):format(p, later, p) or ""
        return XML:format(p, p, ns, p, code, p, p, message, p, p, description, p, more, p)
    end
    if later then return JSON_LATER:format(code, message, description, later) end
    return JSON:format(code, message, description)
end

-- The value of WWW-Authenticate for a refusal with 401 or for a lacking scope (RFC 6750 §3).
local function challenge(name, refusal, realm, scope)
    if name == "insufficient_scope" then
        return ('Bearer realm="%s", error="insufficient_scope", scope="%s"'):format(realm, scope or "")
    end
    if refusal[1] ~= 401 then return nil end
    local more = refusal.challenge and ", " .. refusal.challenge or ""
    return ('Bearer realm="%s"%s'):format(realm, more)
end

-- Levels of throttling: the bit of each in txn.over, its place in txn.lost.
-- Of those that end together the first is named: what the caller has is nearer than what everybody shares.
local LEVELS = {
    { name = "throttled", level = "plan", bit = 1, place = 1 },
    { name = "throttled_bandwidth", level = "bandwidth", bit = 32 },
    { name = "throttled_application", level = "application", bit = 4, place = 3 },
    { name = "throttled_api", level = "api", bit = 8, place = 4 },
    { name = "throttled_resource", level = "resource", bit = 16, place = 5 },
    { name = "throttled_burst", level = "burst", bit = 2, place = 2 },
}

local PLACES = { burst = 1, application = 2, api = 3, resource = 4, bandwidth = 5 } -- as in limits.lua
local KEPT = { s = "second", m = "minute", d = "day", y = "month" }

-- What an outcome says of a level (outcomes.lua): where it is kept, its key, its limit.
local function counted(parts, level)
    if level == "plan" then return KEPT[parts[2]:sub(1, 1)], parts[7], parts[3] end
    local places = {}
    for place in (parts[12] .. "<"):gmatch("([^<]*)<") do places[#places + 1] = place end
    local kept, limit, key = places[PLACES[level]]:match("^(%l)(%-?%d+)>(.*)$")
    return KEPT[kept], key, limit
end

-- The window a level counts in: its period and its end.
local function window(parts, level)
    local kept, key = counted(parts, level)
    return windows.of(kept, tonumber(key:match("|(%d+)$")))
end

-- The level that has to be waited for longest, of all that are exceeded; and when its window ends.
local function throttled_by(txn, parts)
    local over, lost = txn:get_var("txn.over") or 0, txn:get_var("txn.lost")
    local longest, last = nil, -1
    for _, one in ipairs(LEVELS) do
        if lost and lost == one.place or not lost and (over & one.bit) ~= 0 then
            local _, ends = window(parts, one.level)
            if ends > last then longest, last = one, ends end
        end
    end
    return longest, last
end

local function in_words(parts, level)
    local _, _, limit = counted(parts, level)
    return ("%s%s per %s"):format(limit, level == "bandwidth" and " kilobytes" or "", (window(parts, level)))
end

-- What the log says of a refusal, besides its name: what was wanted, and what there was instead.
local function note(txn, name, refusal, wanted, had)
    txn:set_var("txn.code", refusal[2])
    if name == "wrong_method" then
        txn:set_var("txn.methods", wanted)
        had = txn.f:method()
    end
    if wanted and wanted ~= "" then txn:set_var("txn.wanted", wanted:sub(1, 200)) end
    if had and had ~= "" then txn:set_var("txn.had", had:sub(1, 200)) end
end

-- Sets txn.status, txn.body, txn.xml and the headers an answer carries. Where this fails, a rule answers 500.
local function present(txn)
    local name = txn:get_var("txn.refusal") or "internal"
    local parts = outcomes.parts(txn:get_var("txn.outcome") or "")
    local open_at, wanted, had
    if name == "throttled" then
        local longest
        longest, open_at = throttled_by(txn, parts)
        name, wanted = longest.name, in_words(parts, longest.level)
        txn:set_var("txn.refusal", name)
    elseif name == parts[1] then
        wanted, had = decode(parts[12] or ""), decode(parts[13] or "")
    end
    local refusal = REFUSALS[name] or REFUSALS.internal
    local retry_after, description, later = refusal.retry_after, refusal[4], nil
    if open_at then
        retry_after = math.max(1, open_at - os.time())
        later = os.date("!%Y-%b-%d %H:%M:%S+0000 UTC", open_at)
        description = "You have exceeded your quota .You can access API after " .. later
    end
    if name == "suspended" then retry_after = math.max(1, (txn:get_var("txn.next_try") or 0) - os.time()) end
    local xml = prefers_xml(txn.f:req_fhdr("accept"))
    txn:set_var("txn.xml", xml)
    txn:set_var("txn.body", body(refusal, description, later, xml))
    local header = challenge(name, refusal, parts[9] or "default", wanted)
    if header then txn:set_var("txn.challenge", header) end
    if retry_after then txn:set_var("txn.retry_after", retry_after) end
    note(txn, name, refusal, wanted, had)
    txn:set_var("txn.status", refusal[1])
end

-- What HAProxy itself says of a backend that fails.
local FAULTS = {
    ["502"] = { 502, "101500", "Runtime Error", "The backend did not answer as HTTP" },
    ["503"] = { 503, "303001", "Runtime Error", "The backend is not reachable" },
    ["504"] = { 504, "101504", "Runtime Error", "The backend did not answer in time" },
}

local function fault(txn, status)
    local said = FAULTS[status] or FAULTS["502"]
    return body(said, said[4], nil, txn:get_var("txn.xml"))
end

-- Notes for the time of a fault, when the request is gone, that the client would rather have XML.
local function accept(txn)
    txn:set_var("txn.xml", prefers_xml(txn.f:req_fhdr("accept")))
end

local READ_AT_MOST = 10 * 2 ^ 20 -- bytes of the body of a refused call

-- Answers what `present` has set when the body, or enough of it, has been read.
local function refuse(applet)
    local left = READ_AT_MOST
    repeat
        local part = applet:receive(65536)
        left = left - #part
    until part == "" or left <= 0
    local text = applet:get_var("txn.body")
    applet:set_status(applet:get_var("txn.status"))
    applet:add_header("content-length", tostring(#text))
    applet:add_header("content-type", "application/json")
    applet:add_header("cache-control", "no-store")
    applet:start_response()
    applet:send(text)
end

core.register_fetches("fault", fault)
core.register_service("refuse", "http", refuse)
core.register_action("accept", { "http-req" }, accept)
core.register_action("present", { "http-req" }, present)
