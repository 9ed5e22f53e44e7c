-- What is decided about a call, as one text: a rule of the configuration sets it, others take it apart.
--
-- Nothing is decided until the whole text is there: a Lua error, a loop that HAProxy cuts or a wrong type leave no
-- outcome, or none that says `pass`, and then the call is refused. Its parts, with `^` between them, those that
-- every call needs first, since a rule reads from the beginning:
--
--   1  pass; miss: the agent has to be asked; unnamed: nobody has to say who calls; held: by a restricted key, which
--      has to be compared with where the call comes from; anything else is a refusal (refusals.lua)
--   2  where the plan's count is kept: s(econd), m(inute), d(ay), y (month), `-` is unlimited; then letters, `-` for
--      none: o a backend of the API's own, t TLS, w a time-out, l limits besides the plan, u nobody said who calls,
--      v answers depend on the origin, x the assertion is further behind
--   3  how many calls may pass in this window   4  path   5  Host
--   6  where the call goes: organization|IP|port, or the backend of the API's own
--   7  the key calls are counted under          8  API|application|subscription   9  the organization's name
--   10 TLS name   11  time-out (ms)
--   12 limits besides the plan, 15 parts with `<` between them (limits.lua)
--   13 what a restricted key is bound to
--
-- Then blanks, and the assertion from byte 640 on (x: from 8192), so that no rule has to look for it. Of a refusal
-- there are 1, 2, 8, 9; 12 is what was wanted and 13 what was there instead, percent-encoded.

local NEAR, FAR = 640, 8192 -- as in service.cfg

local outcomes = {}

-- A refusal; without an API it is the name alone. `who` is application|subscription, where they are known.
function outcomes.refuse(name, api, realm, who, wanted, had)
    if not api then return name end
    return name .. "^-" .. (api.flags == "" and "-" or api.flags) .. "^^^^^^" .. api.usage .. (who or "|") .. "^" .. realm .. "^^^"
        .. (wanted or "") .. "^" .. (had or "") .. "^"
end

local BLANKS = (" "):rep(NEAR)

-- A call that may pass, or is held (the same length). `rest` is what comes after the flags.
function outcomes.pass(word, kept, flags, rest, assertion)
    local head = word .. "^" .. kept .. flags .. rest
    if #head <= NEAR then return head .. BLANKS:sub(#head + 1) .. assertion end
    head = word .. "^" .. kept .. flags .. "x" .. rest
    assert(#head <= FAR, "too long an outcome")
    return head .. (" "):rep(FAR - #head) .. assertion
end

-- The parts of an outcome, empty ones included.
function outcomes.parts(outcome)
    local parts = {}
    for part in (outcome .. "^"):gmatch("([^^]*)%^") do parts[#parts + 1] = part end
    return parts
end

-- The same outcome with another first word; an assertion in it stays where it is if the word is as long.
function outcomes.with(word, outcome)
    return word .. outcome:sub((outcome:find("^", 1, true)))
end

return outcomes
