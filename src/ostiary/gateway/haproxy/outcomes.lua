-- What is decided about a call, as one text: a rule of the configuration sets it, others take it apart.
--
-- Nothing is decided until the whole text is there: a Lua error, a loop that HAProxy cuts or a wrong type leave no
-- outcome, or none that says `pass`, and then the call is refused. Its parts, with `^` between them, those that
-- every call needs first, since a rule reads from the beginning:
--
--   1  pass; miss: the agent has to be asked; unnamed: nobody has to say who calls; held: by a restricted key, which
--      has to be compared with where the call comes from; anything else is a refusal (refusals.lua)
--   2  where the plan's count is kept: s(econd), m(inute), d(ay), y (month), `-` is unlimited; then letters, `-` for
--      none, in this order: x what follows is far behind, u nobody said who calls, l limits besides the plan,
--      v answers depend on the origin, o a backend of the API's own, t TLS, w a time-out
--   3  how many calls may pass in this window   4  path   5  Host
--   6  where the call goes: IP|port|organization, or the backend of the API's own
--   7  the key calls are counted under          8  of a refusal, API|application|subscription
--   9  the organization's name
--   10 TLS name   11  time-out (ms)
--   12 limits besides the plan, 5 parts with `<` between them (limits.lua)
--   13 what a restricted key is bound to
--
-- Of a call that may pass, blanks follow up to byte 512, and then the decision as it is stored (decisions.py), so that
-- nothing of it is copied apart: from byte 540 on its fields, whose fourth to sixth are API|application|subscription,
-- and from byte 896 on the assertion (x: 7836 and 8192). Of a refusal there are 1, 2, 8, 9; 12 is what was wanted
-- and 13 what was there instead, percent-encoded.

local NEAR, FAR, FIELDS = 512, 8192, 384 -- as in gateway.cfg; FIELDS as in decisions.py

local outcomes = {}

-- A refusal; without an API it is the name alone. `who` is application|subscription, where they are known.
function outcomes.refuse(name, api, realm, who, wanted, had)
    if not api then return name end
    return name .. "^-" .. (api.flags == "" and "-" or api.flags) .. "^^^^^^" .. api.usage .. (who or "|") .. "^" .. realm .. "^^^"
        .. (wanted or "") .. "^" .. (had or "") .. "^"
end

local BLANKS = {}
for n = 0, NEAR do BLANKS[n] = (" "):rep(n) end

local IS_NEAR = string.unpack(">I6", ("%06x"):format(FIELDS + 1))

-- A call that may pass, or is held. `head` are the parts, their letters begin after the byte `letters`; `text` is the
-- decision, `at` the place of its assertion as decisions.read says it.
function outcomes.pass(head, letters, text, at)
    local blanks = BLANKS[NEAR - #head]
    if blanks and at == IS_NEAR then return head .. blanks .. text end
    head = head:sub(1, letters) .. "x" .. head:sub(letters + 1)
    assert(#head <= FAR - FIELDS, "too long an outcome")
    local begins = tonumber(text:sub(22, 27), 16)
    assert(begins <= #text, "no assertion")
    return head .. (" "):rep(FAR - FIELDS - #head) .. text:sub(1, FIELDS) .. text:sub(begins)
end

-- What stands for a decision and the place of its assertion where nobody has to say who calls, and that it does.
function outcomes.nobody(api)
    return (" "):rep(28) .. "|||" .. api.usage .. "||", IS_NEAR, true
end

-- The parts of an outcome, empty ones included.
function outcomes.parts(outcome)
    local parts = {}
    for part in (outcome .. "^"):gmatch("([^^]*)%^") do parts[#parts + 1] = part end
    return parts
end

-- The same outcome with another first word; what stands at a place of its own stays there if the word is as long.
function outcomes.with(word, outcome)
    return word .. outcome:sub((outcome:find("^", 1, true)))
end

-- The refusal of a call that was held.
function outcomes.refuse_held(name, outcome)
    local parts = outcomes.parts(outcome)
    local far = parts[2]:find("x", 1, true)
    local who = outcome:match("^[^|]*|[^|]*|[^|]*|([^|]*|[^|]*|[^|]*)|", (far and FAR - FIELDS or NEAR) + 29)
    return name .. "^" .. parts[2] .. "^^^^^^" .. who .. "^" .. parts[9] .. "^^^^^"
end

return outcomes
