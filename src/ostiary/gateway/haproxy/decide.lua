-- Whether a call may pass: reads maps, and asks the agent on a miss. Loaded once per thread; holds no decision.
--
-- A converter decides, without a transaction, since making one for Lua costs more than deciding: what it has to
-- know comes as one text, path^credential^organizations that deny the address^method, and what is decided goes as
-- one (outcomes.lua). Actions are for what only they can do, and most calls never need them.
--
-- The formats of the maps and of the agent's answers are described in __init__.py.

local folder, maps, agent = ...
local function load(name, ...) return assert(loadfile(("%s/%s.lua"):format(folder, name)))(...) end
local router = load("router")
local shards = load("shards", maps)
local cors = load("cors", router.decode)
local credentials = load("credentials", router.decode)
local targets = load("targets", router.decode, maps)
local limits = load("limits", folder, maps)
local decisions = load("decisions", shards)
local outcomes = load("outcomes")
local apis = load("apis", folder, maps, router, credentials, cors, targets, limits, shards)

local DEADLINE = 800 -- milliseconds for the agent

local plan = Map.new(maps .. "/plan.map", Map._str)
local refuse = outcomes.refuse
local find, match, time = string.find, string.match, os.time
local read, has_scope, choose = decisions.read, decisions.has_scope, targets.choose

-- What lives is little beside what each call throws away: collect when it has grown fourfold, not twofold.
collectgarbage("setpause", 400)

-- Finds what is called: the API, the organization's name, the path inside the API, the resource; or nil and the
-- outcome. `denied_by` are the organizations that deny the caller's address, with commas around each.
local function called(path, method, denied_by)
    local api, realm, inside = apis.find(path)
    if not api then return nil, refuse("not_found") end
    if denied_by ~= "" and find(denied_by, "," .. api.organization .. ",", 1, true) then
        return nil, refuse("denied", api, realm)
    end
    if api.refused then return nil, refuse(api.refused, api, realm) end
    local methods = router.match(api.trie, inside)
    if not methods then return nil, refuse("no_resource", api, realm) end
    local resource = router.resource(methods, method)
    if not resource then return nil, refuse("wrong_method", api, realm, nil, router.allowed(methods)) end
    return api, realm, inside, resource
end

-- A call that goes to a backend, with what else is said of it.
local function pass(word, api, backend, inside, realm, who, more, now, kept, left, key, bound, assertion, unnamed)
    local target = choose(backend, now)
    local flags = target.flags
    if more ~= "" then flags = flags .. "l" end
    if unnamed then flags = flags .. "u" end
    if inside == "" and target.base == "" then inside = "/" end
    local rest = "^" .. left .. "^" .. target.base .. inside .. target.where .. key .. "^" .. api.usage .. who .. "^"
        .. realm .. target.how .. more .. "^" .. bound .. "^"
    return outcomes.pass(word, kept, flags, rest, assertion)
end

-- What a decision says about this call; `otherwise` where it does not hold now.
local function apply(text, api, realm, inside, resource, otherwise)
    local now = time()
    local keys, holder, counter, limit, per, who, said, bound, at, assertion = read(api, text, now)
    if not keys then return refuse(otherwise, api, realm) end
    local auth = resource.auth
    if auth and auth ~= holder then return refuse("wrong_token_type", api, realm, who) end
    if not has_scope(text, at, resource.scopes) then
        return refuse("insufficient_scope", api, realm, who, router.listed(resource.scopes), decisions.scopes(text, at))
    end
    local backend = api[keys]
    if not backend then return refuse("no_endpoint", api, realm, who) end
    if backend.cannot then return refuse(backend.cannot, api, realm, who) end
    local kept, left, key = limits.plan(counter, limit, per, now)
    local more = ""
    if said ~= "" or api.limit or resource.limit then more = limits.more(api, resource, said, now) end
    local word = bound == "" and "pass" or "held"
    return pass(word, api, backend, inside, realm, who, more, now, kept, left, key, bound, assertion)
end

-- Decides on what is stored.
local function decide(question)
    local path, credential, denied_by, method = match(question, "^([^^]*)%^([^^]*)%^([^^]*)%^(.*)")
    local api, realm, inside, resource = called(path, method, denied_by)
    if not api then return realm end
    if resource.auth == "none" then return refuse("unnamed", api, realm) end
    if credential == "" then return refuse("missing_token", api, realm) end
    if not api.accepts[credentials.kind(credential)] then return refuse("wrong_credential", api, realm) end
    local stored = decisions.find(api, credential)
    if not stored then return refuse("miss", api, realm) end
    return apply(stored, api, realm, inside, resource, "miss")
end

-- Lets a call pass that needs no credential: nobody calls, so the backend gets no assertion. The question is
-- address^path^method, and was decided before.
local function decide_unnamed(question)
    local address, path, method = match(question, "^([^^]*)%^([^^]*)%^(.*)")
    local api, realm, inside, resource = called(path, method, "")
    if not api then return realm end
    if resource.auth ~= "none" then return refuse("missing_token", api, realm) end
    local backend, now = api.P or api.S, time()
    if not backend then return refuse("no_address", api, realm) end
    if backend.cannot then return refuse(backend.cannot, api, realm) end
    local kept, left, key = limits.plan_of_address(api, address, now)
    local more = limits.more(api, resource, "", now)
    return pass("pass", api, backend, inside, realm, "|", more, now, kept, left, key, "", "", true)
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

-- What the agent says of a credential at an API, as an outcome. Whatever is not an answer is unavailable.
local function ask_agent(txn, api, realm, inside, resource)
    local credential, token = txn:get_var("txn.credential"), ""
    if credentials.kind(credential) == "oauth2" then -- an API key is known by its hash alone
        token = txn.f:http_auth_bearer()
        if not token or not token:match("^[%w%-._~+/]+=*$") then return refuse("invalid_token", api, realm) end
    end
    local answer = core.httpclient():post(question(api, credential, token, txn.f:src(), txn.f:unique_id()))
    if not answer or answer.status ~= 200 or not answer.body then return refuse("unavailable", api, realm) end
    local name = answer.body:match("^refuse ([%l_]+)\n?$")
    if name then return refuse(AGENT_MAY_SAY[name] and name or "unavailable", api, realm) end
    local text = answer.body:match("^grant\n([^\n]+)\n?$")
    if not text then return refuse("unavailable", api, realm) end
    return apply(text, api, realm, inside, resource, "invalid_token")
end

-- After a miss: asks the agent and decides on its answer.
local function ask(txn)
    txn:set_var("txn.outcome", "internal")
    local api, realm, inside, resource = called(txn.f:path(), txn.f:method(), txn:get_var("txn.denied_by") or "")
    txn:set_var("txn.outcome", api and ask_agent(txn, api, realm, inside, resource) or realm)
end

-- Of a restricted API key: whether the call comes from where it may.
local function confine(txn)
    local outcome = txn:get_var("txn.outcome")
    local refusal = credentials.refusal(txn, outcomes.parts(outcome)[13])
    txn:set_var("txn.outcome", outcomes.with(refusal or "pass", outcome))
end

-- Of a call from a page of another origin: what the answer says of that, and the answer to a preflight.
local function note_origin(txn)
    local api, _, inside = apis.find(txn.f:path())
    if not api then return end
    cors.note(txn, api.cors)
    local outcome = txn:get_var("txn.outcome") or ""
    if find(outcome, "wrong_method^", 1, true) ~= 1 then return end
    if cors.preflight(txn, api.cors, router.match(api.trie, inside)) then
        txn:set_var("txn.outcome", outcomes.with("preflight", outcome))
    end
end

-- A worker just started has no plan entry until the agent has brought its maps up to date: calls wait for it.
-- The rule after it looks again.
local function await_plan(_)
    for _ = 1, 100 do
        if plan:lookup("number") then return end
        core.msleep(20)
    end
end

core.register_converters("decide", decide)
core.register_converters("decide_unnamed", decide_unnamed)
core.register_action("ask", { "http-req" }, ask)
core.register_action("confine", { "http-req" }, confine)
core.register_action("note_origin", { "http-req" }, note_origin)
core.register_action("take_api_key", { "http-req" }, credentials.take)
core.register_action("await_plan", { "http-req" }, await_plan)
