-- Questions to the agent, and their turns: no more are under way than it answers in time.
--
-- After a reload the new worker has no decision, and all calls are questions at once. Asked together, the last ones
-- would be given up before they are answered; waiting here, they are asked in time, or find the decision that was
-- stored meanwhile. Once the agent is silent, who asked it and who waited are given up at the same time.

local agent = ...

local DEADLINE = 0.8 -- seconds for an answer
local PATIENCE = 5 -- seconds for a turn
local LOST = 2 -- seconds until a turn counts as given back: a call that is cut while it asks gives none back
local PAUSE = 20 -- milliseconds between two looks
local ABREAST = 8 -- questions of a thread under way: the agent has to bring what is stored, too

local questions = {}

local ends = {}
for turn = 1, ABREAST do ends[turn] = 0 end
local answered_at, silent_at = 0, 0

local function seconds()
    local now = core.now()
    return now.sec + now.usec / 1e6
end

local function free(now)
    for turn = 1, ABREAST do
        if ends[turn] <= now then
            ends[turn] = now + LOST
            return turn
        end
    end
end

-- Waits for a turn to ask: its number; or nil, and what `look` found meanwhile, if anything.
function questions.turn(look)
    local began = seconds()
    local now, turn = began, free(began)
    while not turn and now - began <= PATIENCE do
        core.msleep(PAUSE)
        now = seconds()
        local found = look()
        if found then return nil, found end
        if silent_at >= began then return nil end
        turn = free(now)
    end
    return turn
end

local BODY = '{"api":"%s","credential_sha256":"%s","credential":"%s","address":"%s","request":"%s"}'

-- Asks, and gives the turn back: the text of the answer, nil where there is none. The agent is silent when nobody
-- was answered since.
function questions.ask(turn, ...)
    local body, asked_at = BODY:format(...), seconds()
    local answer = core.httpclient():post({
        url = "http://agent/decide", dst = "unix@" .. agent, timeout = math.floor(DEADLINE * 1000), body = body,
        headers = { ["content-type"] = { "application/json" }, ["content-length"] = { tostring(#body) } },
    })
    ends[turn] = 0
    if answer and answer.status == 200 and answer.body then
        answered_at = seconds()
        return answer.body
    end
    if answered_at < asked_at then silent_at = seconds() end
    return nil
end

return questions
