-- Questions to the agent, and their turns: no more are under way than it answers in time.
--
-- After a reload the new worker has no decision, and all calls are questions at once. Asked together, the last ones
-- would be given up before their turn; waiting here, they are asked in time, or find a decision that was stored
-- meanwhile. An agent that is silent is waited for by those alone who ask it; nobody waits for a turn then.

local agent = ...

local DEADLINE = 0.8 -- seconds for an answer
local PATIENCE = 5 -- seconds for a turn
local LOST = 2 -- seconds until a turn counts as given back: a call that is cut while it asks gives none back
local ABREAST = 4 -- questions of a thread under way

local questions = {}

local ends = {}
for turn = 1, ABREAST do ends[turn] = 0 end
local silent_at = 0

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
    local turn = free(began)
    if turn then return turn end
    repeat
        core.msleep(20)
        local found = look()
        if found then return nil, found end
        local now = seconds()
        turn = free(now)
        if turn then return turn end
    until silent_at >= began or now - began > PATIENCE
    return nil
end

local BODY = '{"api":"%s","credential_sha256":"%s","credential":"%s","address":"%s","request":"%s"}'

-- Asks, and gives the turn back: the text of the answer, nil where there is none.
function questions.ask(turn, ...)
    local body = BODY:format(...)
    local answer = core.httpclient():post({
        url = "http://agent/decide", dst = "unix@" .. agent, timeout = math.floor(DEADLINE * 1000), body = body,
        headers = { ["content-type"] = { "application/json" }, ["content-length"] = { tostring(#body) } },
    })
    ends[turn] = 0
    if answer and answer.status == 200 and answer.body then return answer.body end
    silent_at = seconds()
    return nil
end

return questions
