-- Whether a call may pass: reads maps, and asks the agent on a miss. Loaded once per thread; holds no decision.
--
-- A converter decides, without a transaction, since making one for Lua costs more than deciding: what it has to
-- know comes as one text, path/^organizations that deny the address^credential^method, and what is decided goes as
-- one (outcomes.lua). The path has no `^` and the rest but the method, which comes last, is ours. Actions are for
-- what only they can do, and most calls never need them.
--
-- The formats of the maps and of the agent's answers are described in __init__.py.

local folder, maps, agent = ...
local function load(name, ...) return assert(loadfile(("%s/%s.lua"):format(folder, name)))(...) end
local router = load("router")
local shards = load("shards", maps)
local cors = load("cors", router.decode)
local credentials = load("credentials", router.decode)
local targets = load("targets", router.decode, maps)
local clock = load("clock", folder)
local limits = load("limits", folder, maps, clock)
local decisions = load("decisions", shards, clock)
local outcomes = load("outcomes")
local questions = load("questions", agent)
local apis = load("apis", folder, maps, router, credentials, cors, targets, limits, shards, decisions.FIRST)

local plan = Map.new(maps .. "/plan.map", Map._str)
local refuse = outcomes.refuse
local find, match = string.find, string.match
local read, has_scope, choose = decisions.read, decisions.has_scope, targets.choose
local MORE = decisions.MORE

-- What lives is little beside what each call throws away: only what is young is looked through (Lua 5.4), or else
-- nothing before it has grown fourfold.
if not pcall(collectgarbage, "generational") then collectgarbage("setpause", 400) end

-- Finds what is called: the API, the organization's name, the path inside the API, the resource; or nil and the
-- outcome. `text` begins with the path, whose last slash is the byte `last`; `denied_by` are the organizations that
-- deny the caller's address, with commas around each.
local function called(text, last, method, denied_by)
    local api, realm, inside = apis.find(text, last)
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

-- A call that goes to a backend, with what else is said of it; `text` and `at` are those of the decision.
local function pass(word, backend, inside, realm, more, kept, left, key, bound, text, at, unnamed)
    local target = choose(backend, clock.now)
    local flags = target.flags
    if more ~= "" then flags = "l" .. flags end
    if unnamed then flags = "u" .. flags end
    if inside == "" and target.base == "" then inside = "/" end
    local head = word .. "^" .. kept .. flags .. "^" .. left .. "^" .. target.base .. inside .. target.where .. key .. "^^"
        .. realm .. target.how .. more .. "^" .. bound .. "^"
    return outcomes.pass(head, #word + 2, text, at)
end

-- What a decision says about this call; `otherwise` where it does not hold now.
local function apply(text, api, realm, inside, resource, otherwise)
    clock.tick()
    local keys, holder, period, said, at = read(api, text)
    if not keys then return refuse(otherwise, api, realm) end
    local auth = resource.auth
    if auth and auth ~= holder then return refuse("wrong_token_type", api, realm, decisions.who(api, text)) end
    if not has_scope(text, resource.scopes) then
        return refuse("insufficient_scope", api, realm, decisions.who(api, text), router.listed(resource.scopes),
            decisions.scopes(text))
    end
    local backend = api[keys]
    if not backend then return refuse("no_endpoint", api, realm, decisions.who(api, text)) end
    if backend.cannot then return refuse(backend.cannot, api, realm, decisions.who(api, text)) end
    local counter, requests = decisions.plan(api, text)
    local kept, left, key = limits.plan(counter, requests, period)
    local more, bound = "", ""
    if said == MORE then more, bound = decisions.more(api, text) end
    if more ~= "" or api.limit or resource.limit then more = limits.more(api, resource, more) end
    return pass(bound == "" and "pass" or "held", backend, inside, realm, more, kept, left, key, bound, text, at)
end

-- Decides on what is stored.
local function decide(question)
    local last = find(question, "^", 1, true) - 1
    local denied_by, credential, method = match(question, "^([^^]*)%^([^^]*)%^(.*)", last + 2)
    local api, realm, inside, resource = called(question, last, method, denied_by)
    if not api then return realm end
    if resource.auth == "none" then return refuse("unnamed", api, realm) end
    if credential == "" then return refuse("missing_token", api, realm) end
    if not api.accepts[credentials.kind(credential)] then return refuse("wrong_credential", api, realm) end
    local stored = decisions.find(api, credential)
    if not stored then return refuse("miss", api, realm) end
    return apply(stored, api, realm, inside, resource, "miss")
end

-- Lets a call pass that needs no credential: nobody calls, so the backend gets no assertion. The question is
-- path/^address^method, and was decided before.
local function decide_unnamed(question)
    local last = find(question, "^", 1, true) - 1
    local address, method = match(question, "^([^^]*)%^(.*)", last + 2)
    local api, realm, inside, resource = called(question, last, method, "")
    if not api then return realm end
    if resource.auth ~= "none" then return refuse("missing_token", api, realm) end
    local backend = api[apis.PRODUCTION] or api[apis.SANDBOX]
    if not backend then return refuse("no_address", api, realm) end
    if backend.cannot then return refuse(backend.cannot, api, realm) end
    clock.tick()
    local kept, left, key = limits.plan_of_address(api, address)
    return pass("pass", backend, inside, realm, limits.more(api, resource, ""), kept, left, key, "", outcomes.nobody(api))
end

local AGENT_MAY_SAY = {
    invalid_token = true, subscription_blocked = true, subscription_inactive = true, not_subscribed = true,
    denied_caller = true, unavailable = true,
}

-- What the agent says of a credential at an API, as an outcome. Whatever is not an answer is unavailable. Whoever
-- waits for a turn to ask may find that the decision has been stored meanwhile.
local function ask_agent(txn, api, realm, inside, resource)
    local credential, token = txn:get_var("txn.credential"), ""
    if credentials.kind(credential) == "oauth2" then -- an API key is known by its hash alone
        token = txn.f:http_auth_bearer()
        if not token or not token:match("^[%w%-._~+/]+=*$") then return refuse("invalid_token", api, realm) end
    end
    local function look()
        local stored = decisions.find(api, credential)
        local found = stored and apply(stored, api, realm, inside, resource, "miss")
        return found and find(found, "miss^", 1, true) ~= 1 and found or nil
    end
    local said, found = questions.ask(look, api.id, credential, token, txn.f:src(), txn.f:unique_id())
    if not said then return found or refuse("unavailable", api, realm) end
    local name = said:match("^refuse ([%l_]+)\n?$")
    if name then return refuse(AGENT_MAY_SAY[name] and name or "unavailable", api, realm) end
    local text = said:match("^grant\n([^\n]+)\n?$")
    if not text then return refuse("unavailable", api, realm) end
    return apply(text, api, realm, inside, resource, "invalid_token")
end

-- After a miss: asks the agent and decides on its answer.
local function ask(txn)
    txn:set_var("txn.outcome", "internal")
    local path = txn.f:path() .. "/"
    local api, realm, inside, resource = called(path, #path, txn.f:method(), txn:get_var("txn.denied_by") or "")
    txn:set_var("txn.outcome", api and ask_agent(txn, api, realm, inside, resource) or realm)
end

-- Of a restricted API key: whether the call comes from where it may.
local function confine(txn)
    local outcome = txn:get_var("txn.outcome")
    local refusal = credentials.refusal(txn, outcomes.parts(outcome)[13])
    txn:set_var("txn.outcome", refusal and outcomes.refuse_held(refusal, outcome) or outcomes.with("pass", outcome))
end

-- Of a call from a page of another origin: what the answer says of that, and the answer to a preflight.
local function note_origin(txn)
    local path = txn.f:path() .. "/"
    local api, _, inside = apis.find(path, #path)
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
