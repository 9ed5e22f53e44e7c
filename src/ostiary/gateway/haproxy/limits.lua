-- Which limits a call counts against: their keys, in fixed clock windows.
--
-- Says nothing about whether a call may pass. It sets variables; rules of the configuration count and compare.

local folder, maps = ...
local counts = assert(loadfile(folder .. "/counts.lua"))(maps)

local limits = {}

local SECONDS = { second = 1, minute = 60, hour = 3600, day = 86400 }

-- The start of the month after the one of a day given as year and month, in seconds since 1970.
local function next_month(year, month)
    year, month = month == 12 and year + 1 or year, month % 12 + 1
    local y = month <= 2 and year - 1 or year
    local days = 365 * y + y // 4 - y // 100 + y // 400 + (153 * ((month + 9) % 12) + 2) // 5 - 719468
    return days * 86400
end

-- The number of the fixed clock window and its end.
local function window(per, now)
    local seconds = SECONDS[per]
    if seconds then
        local number = now // seconds
        return number, (number + 1) * seconds
    end
    assert(per == "month", "an unknown period")
    local date = os.date("!*t", now)
    return date.year * 12 + date.month, next_month(date.year, date.month)
end

-- Sets what the rules count this call against.
function limits.apply(txn, decision, now)
    if decision.counter == "" then return end
    local number, ends = window(decision.per, now)
    local key = decision.counter .. "|" .. number
    txn:set_var("txn.counter", key)
    txn:set_var("txn.per", decision.per)
    txn:set_var("txn.limit", counts.left(decision.limit, key))
    txn:set_var("txn.window_end", ends)
end

return limits
