-- Fixed windows of the clock, in UTC: their numbers, and when they end in seconds since 1970.
--
-- A key of the stick tables ends in the number alone, so that nothing else has to be kept for a call: its table
-- and the size of the number say which period it is of.

local windows = {}

local SECONDS = { second = 1, minute = 60, hour = 3600, day = 86400 }

-- Which table keeps the counts of a period.
windows.KEPT = { second = "second", minute = "minute", hour = "day", day = "day", month = "month" }

-- The number of the window that `now` is in.
function windows.number(per, now)
    local seconds = SECONDS[per]
    if seconds then return now // seconds end
    assert(per == "month", "an unknown period")
    local date = os.date("!*t", now)
    return date.year * 12 + date.month - 1
end

-- The start of a month, given as years since 0 in months.
local function start_of(month)
    local year, shifted = month // 12, (month + 10) % 12 -- March is 0
    if shifted >= 10 then year = year - 1 end
    return (365 * year + year // 4 - year // 100 + year // 400 + (153 * shifted + 2) // 5 - 719468) * 86400
end

-- The period and the end of a window by its number and its table.
function windows.of(kept, number)
    if kept == "month" then return "month", start_of(number + 1) end
    local per = number >= 1e9 and "second" or number >= 1e7 and "minute" or number >= 1e5 and "hour" or "day"
    return per, (number + 1) * SECONDS[per]
end

return windows
