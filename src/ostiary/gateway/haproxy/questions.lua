-- Questions to the agent, and their turns: no more are under way than it answers in time.
--
-- After a reload the new worker has no decision, and all calls are questions at once. Asked together, the last ones
-- would be given up before they are answered; waiting here, they are asked in time, or find the decision that was
-- stored meanwhile. Once the agent is silent, who asked it and who waited are given up at the same time.
--
-- What the control plane has to be asked about is relayed, and has turns of its own: while the control plane hangs,
-- they are all it uses up. Of most of it only the agent can tell, which says so at once and is asked again.
--
-- A question is a task of its own: HAProxy ends a call that is cut without a word, but never a task. So a turn is given
-- back when the agent is free again, neither sooner nor later.

local agent = ...

local DEADLINE = 0.8 -- seconds for an answer
local PATIENCE = 5 -- seconds for a turn
local PAUSE = 20 -- milliseconds between two looks
local SOON = 0.01 -- seconds in which most answers come: one looks every millisecond

local questions = {}

-- By whether the agent answers alone: how many of a thread may be under way (the agent has to bring what is stored, too)
-- and are, when somebody was answered last, and since when nobody is.
local kinds = {
    alone = { turns = 4, under_way = 0, answered_at = 0, silent_at = 0 },
    relayed = { turns = 8, under_way = 0, answered_at = 0, silent_at = 0 },
}

local function seconds()
    local now = core.now()
    return now.sec + now.usec / 1e6
end

-- Waits for a turn, until `patience`: whether there is one; if not, what `look` found meanwhile, if anything.
local function wait(kind, patience, look)
    local began = seconds()
    while kind.under_way >= kind.turns do
        if seconds() > patience then return false end
        core.msleep(PAUSE)
        local found = look()
        if found then return false, found end
        if kind.silent_at >= began then return false end
    end
    return true
end

-- Sends a question: the text of the answer, nil where there is none.
local function post(body)
    local answer = core.httpclient():post({
        url = "http://agent/decide", dst = "unix@" .. agent, timeout = math.floor(DEADLINE * 1000), body = body,
        headers = { ["content-type"] = { "application/json" }, ["content-length"] = { tostring(#body) } },
    })
    return answer and answer.status == 200 and answer.body
end

-- Takes a turn and asks: the text of the answer, nil where there is none in time. The agent is silent when nobody was
-- answered since.
local function take(kind, body)
    local asked_at, said, text = seconds(), false, nil
    core.register_task(function()
        local whole, answer = pcall(post, body)
        kind.under_way = kind.under_way - 1
        said, text = true, whole and answer or nil
        if text then
            kind.answered_at = seconds()
        elseif kind.answered_at < asked_at then
            kind.silent_at = seconds()
        end
    end)
    kind.under_way = kind.under_way + 1
    local took = 0
    while not said and took <= DEADLINE do
        core.msleep(took < SOON and 1 or PAUSE)
        took = seconds() - asked_at
    end
    return text
end

local BODY = '{"api":"%s","credential_sha256":"%s","credential":"%s","address":"%s","request":"%s","relayed":%s}'

-- Asks when it is its turn: the text of the answer; or nil, and what `look` found meanwhile, if anything.
local function ask(kind, patience, look, ...)
    local mine, found = wait(kind, patience, look)
    if not mine then return nil, found end
    return take(kind, BODY:format(...))
end

-- Asks about the credential of a call, whose token is empty for an API key. What is neither that nor a JWT could only
-- be an opaque token.
function questions.ask(look, api, credential, token, address, request)
    local patience = seconds() + PATIENCE
    if token == "" or token:find("%..*%.") then
        local said, found = ask(kinds.alone, patience, look, api, credential, token, address, request, false)
        if said ~= "relay" then return said, found end
    end
    return ask(kinds.relayed, patience, look, api, credential, token, address, request, true)
end

return questions
