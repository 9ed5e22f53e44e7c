-- The time as a call needs it, made once a second and not for each call. Nothing here is kept longer.

local folder = ...
local windows = assert(loadfile(folder .. "/windows.lua"))()

local time, unpack = os.time, string.unpack

-- `now` in seconds since 1970; `digits`, the same as decisions have it (decisions.py); `windows`, by periods, what
-- the keys of counters end in.
local clock = { now = 0, digits = 0, windows = {} }

-- To be called before a call's first look at it.
function clock.tick()
    local now = time()
    if now == clock.now then return end
    for per in pairs(windows.KEPT) do clock.windows[per] = "|" .. windows.number(per, now) end
    clock.digits = unpack(">I8", ("%08x"):format(now))
    clock.now = now
end

return clock
