-- Whether a call may pass: reads maps, and asks the agent on a miss. Loaded once per thread; holds no decision.
--
-- Its outputs are variables. A Lua error, a loop that HAProxy cuts or a wrong type leaves them unset and lets
-- the request go on, so the last act of a grant is txn.allow=1, and the first rule after the actions refuses
-- whatever lacks it. A refusal is txn.refusal, a name in refusals.lua.
--
-- The formats of the maps and of the agent's answers are described in __init__.py.

local folder, maps, agent = ...
local router = assert(loadfile(folder .. "/router.lua"))()
local cors = assert(loadfile(folder .. "/cors.lua"))(router.decode)
local credentials = assert(loadfile(folder .. "/credentials.lua"))(router.decode)
local targets = assert(loadfile(folder .. "/targets.lua"))(router.decode, maps)
local limits = assert(loadfile(folder .. "/limits.lua"))(folder, maps)

local DEADLINE = 800 -- milliseconds for the agent
local CACHED = 1024  -- small APIs whose parsed form each generation of the cache keeps; of large ones it is fewer

local function shards(family, count, method)
    local loaded = {}
    for i = 0, count - 1 do
        loaded[i] = Map.new(("%s/%s-%02x.map"):format(maps, family, i), method)
    end
    return loaded
end

local plan = Map.new(maps .. "/plan.map", Map._str)
local routes = shards("routes", 64, Map._beg)
local resources = shards("resources", 64, Map._str)
local floors = shards("floors", 64, Map._str)
local epochs = shards("epochs", 256, Map._str)
local decisions = {}
for i, map in pairs(shards("decisions", 256, Map._str)) do decisions[("%02x"):format(i)] = map end

local function refuse(txn, name)
    txn:set_var("txn.refusal", name)
end

-- What lives is little beside what each call throws away: collect when it has grown fourfold, not twofold.
collectgarbage("setpause", 400)

-- Parsed APIs, by the text they were parsed from: two generations, so the cache is bounded and the used stay.
local young, old = {}, {}
local young_count = 0

local function remember(text, api)
    if young_count >= CACHED then young, old, young_count = {}, young, 0 end
    young[text] = api
    young_count = young_count + 1 + api.size // 2048
    return api
end

local ROUTE = "^2|([^|]*)|(%u+)|([^|]*)|(%d+)|(%x+)|(%x+)|(%x*)|(%d+)|([^|]*)|([^|]*)|([^|]*)$"

-- What an API or a resource may say by name, and how it is read. Whatever is not here makes the call fail.
local SAID = {
    limit = limits.parse, cors = cors.parse, accepts = credentials.parse,
    auth = function(_, said) return said end,
}

local function parse_api(text)
    local id, state, organization, offset, floor, shard, digest, count, production, sandbox, more = text:match(ROUTE)
    local function read(name, said) return SAID[name](id, said) end
    local chunks = {}
    for n = 1, tonumber(count) do
        chunks[n] = assert(resources[tonumber(shard, 16)]:lookup(("%s.%s.%d"):format(id, digest, n)), "a chunk is missing")
    end
    local listed = table.concat(chunks, "|")
    local api = {
        accepts = credentials.USUAL, cors = cors.USUAL,
        id = id, size = #listed, state = state, organization = organization, offset = tonumber(offset),
        floor = floors[tonumber(floor, 16)], trie = router.parse(listed, read),
        PRODUCTION = targets.parse(production, organization), SANDBOX = targets.parse(sandbox, organization),
    }
    for name, said in more:gmatch("([%l_]+)=([^,]*)") do api[name] = read(name, said) end
    return api
end

-- Finds the API of a path: the API, the organization's name, the path inside the API.
local function route(txn, path)
    local organization, rest = "default", path
    if path:sub(1, 3) == "/t/" then
        local slash = path:find("/", 5, true) -- plain: patterns cost much for each character
        if not slash then return nil end
        organization, rest = path:sub(4, slash - 1), path:sub(slash)
    end
    local first = rest:sub(2, (rest:find("/", 2, true) or 0) - 1)
    if first == "" then return nil end
    local text = routes[txn.c:crc32(organization .. "/" .. first) % 64]:lookup(organization .. rest .. "/")
    if not text then return nil end
    local api = young[text]
    if not api then api = remember(text, old[text] or parse_api(text)) end
    return api, organization, rest:sub(api.offset + 1)
end

local REFUSED_STATE = {
    CREATED = "not_found", RETIRED = "not_found", BLOCKED = "api_blocked", UNSUPPORTED = "unsupported",
    DENIED = "denied", PUBLISHED = false, PROTOTYPED = false, DEPRECATED = false,
}

-- Whether an address of the caller's is denied in the organization of this API.
local function is_denied(txn, api)
    local organizations = txn:get_var("txn.denied_by")
    return organizations and organizations:find("," .. api.organization .. ",", 1, true)
end

-- Finds what is called: the API, the path inside it, the resource; or nil after a refusal.
local function called(txn)
    local api, organization, path = route(txn, txn.f:path())
    if not api then return refuse(txn, "not_found") end
    txn:set_var("txn.realm", organization)
    txn:set_var("txn.api", api.id)
    cors.note(txn, api.cors)
    if is_denied(txn, api) then return refuse(txn, "denied") end
    local refused = REFUSED_STATE[api.state]
    if refused ~= false then return refuse(txn, refused or "unsupported") end
    local methods = router.match(api.trie, path)
    if not methods then return refuse(txn, "no_resource") end
    local resource = router.resource(methods, txn.f:method())
    if not resource then
        if cors.preflight(txn, api.cors, methods) then return refuse(txn, "preflight") end
        txn:set_var("txn.methods", router.allowed(methods))
        return refuse(txn, "wrong_method")
    end
    return api, path, resource
end

-- The assertion is the rest: matching its thousand characters one by one would cost more than everything before.
local DECISION = "^4|(%d+)|(%d+)|([^|]*)|([^|]*)|([^|]*)|([^|]*)|(%u+)|([^|]*)|([^|]*)|(%d*)|(%l*)|([^|]*)|([^|]*)|"
    .. "(%l+)|([^|]*)|()[^|]"

local function parse_decision(text)
    local expires, epoch, organization, subject, client, application, key_type, scopes, counter, limit, per, more,
        subscription, holder, bound, assertion = text:match(DECISION)
    if not expires then return nil end
    return {
        expires = tonumber(expires), epoch = tonumber(epoch), organization = organization, subject = subject,
        client = client, application = application, key_type = key_type, scopes = scopes,
        counter = counter, limit = tonumber(limit), per = per, more = more,
        subscription = subscription, holder = holder, bound = bound,
        assertion = text:sub(assertion),
    }
end

local function minimum(txn, key)
    return tonumber(epochs[txn.c:crc32(key) % 256]:lookup(key)) or 0
end

-- Whether nothing that this decision rests on was narrowed after its token was issued: claim >= minimum.
local function current(txn, api, decision)
    local floor = api.floor:lookup(api.organization)
    if not floor or decision.epoch >= tonumber(floor) then return true end
    local mine, epoch = api.organization .. ":", decision.epoch
    if epoch < minimum(txn, mine .. "organization:" .. api.organization) then return false end
    if epoch < minimum(txn, mine .. "client:" .. decision.client) then return false end
    if epoch < minimum(txn, mine .. "subject:" .. decision.subject) then return false end
    if epoch < minimum(txn, mine .. "application:" .. decision.application) then return false end
    for scope in decision.scopes:gmatch("[^,]+") do
        if epoch < minimum(txn, mine .. "scope:" .. scope) then return false end
    end
    return true
end

-- A decision that holds now for this API, or nil.
local function usable(txn, api, text, now)
    local decision = text and parse_decision(text)
    if not decision or now >= decision.expires or decision.organization ~= api.organization then return nil end
    return current(txn, api, decision) and decision or nil
end

local function has_scope(decision, scopes)
    if #scopes == 0 then return true end
    for _, scope in ipairs(scopes) do
        if decision.scopes:find("," .. scope .. ",", 1, true) then return true end
    end
    return false
end

-- Names who calls what: API, application and subscription; what a call is counted as once it is let through.
local function count_usage(txn, api, application, subscription)
    txn:set_var("txn.usage", api.id .. "|" .. application .. "|" .. subscription)
end

-- Applies a usable decision to this call. Its last act is the grant.
local function pass(txn, api, path, resource, decision, now)
    count_usage(txn, api, decision.application, decision.subscription)
    if resource.auth and resource.auth ~= decision.holder then return refuse(txn, "wrong_token_type") end
    local elsewhere = credentials.refusal(txn, decision.bound)
    if elsewhere then return refuse(txn, elsewhere) end
    if not has_scope(decision, resource.scopes) then
        txn:set_var("txn.scope", router.decode(table.concat(resource.scopes, " ")))
        txn:set_var("txn.granted", router.decode(decision.scopes:gsub(",", " ")))
        return refuse(txn, "insufficient_scope")
    end
    local backend
    if decision.key_type == "PRODUCTION" or decision.key_type == "SANDBOX" then backend = api[decision.key_type] end
    if not backend then return refuse(txn, "no_endpoint") end
    local cannot = targets.send(txn, backend, path)
    if cannot then return refuse(txn, cannot) end
    limits.apply(txn, api, resource, decision, now)
    txn.http:req_set_header("x-jwt-assertion", decision.assertion) -- a rule would percent-encode it, at a price
    txn:set_var("txn.allow", 1)
end

-- Lets a call pass that needs no credential: nobody calls, so the backend gets no assertion.
local function pass_anonymous(txn, api, path, resource)
    local backend = api.PRODUCTION or api.SANDBOX
    if not backend then return refuse(txn, "no_address") end
    local cannot = targets.send(txn, backend, path)
    if cannot then return refuse(txn, cannot) end
    limits.apply_to_address(txn, api, resource, os.time())
    count_usage(txn, api, "", "")
    txn:set_var("txn.anonymous", true)
    txn:set_var("txn.allow", 1)
end

-- First action: decides on what is stored. Sets txn.miss when the agent has to be asked.
local function decide(txn)
    local api, path, resource = called(txn)
    if not api then return end
    if resource.auth == "none" then return pass_anonymous(txn, api, path, resource) end
    local credential = txn:get_var("txn.credential")
    if not credential then return refuse(txn, "missing_token") end
    if not api.accepts[credentials.kind(credential)] then return refuse(txn, "wrong_credential") end
    local now = os.time()
    local stored = decisions[credential:sub(-64, -63)]:lookup(api.id .. ":" .. credential)
    local decision = usable(txn, api, stored, now)
    if not decision then
        txn:set_var("txn.miss", true)
        return
    end
    pass(txn, api, path, resource, decision, now)
end

local BODY = '{"api":"%s","credential_sha256":"%s","credential":"%s","address":"%s","request":"%s"}'
local AGENT_MAY_SAY = {
    invalid_token = true, subscription_blocked = true, subscription_inactive = true, not_subscribed = true,
    denied_caller = true, unavailable = true,
}

local function question(api, credential, token, address, request)
    local body = BODY:format(api.id, credential, token, address, request)
    return {
        url = "http://agent/decide", dst = "unix@" .. agent, timeout = DEADLINE, body = body,
        headers = { ["content-type"] = { "application/json" }, ["content-length"] = { tostring(#body) } },
    }
end

-- Second action, after a miss: asks the agent and decides on its answer. Whatever is not an answer is 503.
local function ask(txn)
    local api, path, resource = called(txn)
    if not api then return end
    local credential, token = txn:get_var("txn.credential"), ""
    if credentials.kind(credential) == "oauth2" then -- an API key is known by its hash alone
        token = txn.f:http_auth_bearer()
        if not token or not token:match("^[%w%-._~+/]+=*$") then return refuse(txn, "invalid_token") end
    end
    local answer = core.httpclient():post(question(api, credential, token, txn.f:src(), txn.f:unique_id()))
    if not answer or answer.status ~= 200 or not answer.body then return refuse(txn, "unavailable") end
    local name = answer.body:match("^refuse ([%l_]+)\n?$")
    if name then return refuse(txn, AGENT_MAY_SAY[name] and name or "unavailable") end
    local text = answer.body:match("^grant\n([^\n]+)\n?$")
    if not text then return refuse(txn, "unavailable") end
    local now = os.time()
    local decision = usable(txn, api, text, now)
    if not decision then return refuse(txn, "invalid_token") end
    pass(txn, api, path, resource, decision, now)
end

-- A worker just started has no plan entry until the agent has brought its maps up to date: calls wait for it.
-- The rule after it looks again.
local function await_plan(_)
    for _ = 1, 100 do
        if plan:lookup("number") then return end
        core.msleep(20)
    end
end

core.register_action("decide", { "http-req" }, decide)
core.register_action("ask", { "http-req" }, ask)
core.register_action("take_api_key", { "http-req" }, credentials.take)
core.register_action("await_plan", { "http-req" }, await_plan)
