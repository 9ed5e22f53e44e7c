-- What wrk sends: the requests of a file, one after another. Arguments: FILE MILLISECONDS-BETWEEN
-- A line of the file is a path and, divided by tabs, headers (`Name: value`) or a form (`body: name=value&…`).
local requests, at = {}, 0

local function wire(line)
    local path, fields = line:match("^([^\t]*)\t?(.*)$")
    local method, headers, body = "GET", "", ""
    for field in fields:gmatch("[^\t]+") do
        if field:sub(1, 6) == "body: " then
            method, body = "POST", field:sub(7)
            headers = headers .. "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: " .. #body .. "\r\n"
        else
            headers = headers .. field .. "\r\n"
        end
    end
    return method .. " " .. path .. " HTTP/1.1\r\nHost: localhost\r\n" .. headers .. "\r\n" .. body
end

function init(args)
    local pause = tonumber(args[2])
    for line in io.lines(args[1]) do requests[#requests + 1] = wire(line) end
    if pause > 0 then
        math.randomseed(os.time())
        function delay() return math.random(0, 2 * pause) end
    end
end

function request()
    at = at % #requests + 1
    return requests[at]
end

function done(summary, latency, _)
    local errors = summary.errors
    print(("\nRESULT %d %d %d %d %d %d"):format(
        summary.requests, summary.duration, errors.status,
        errors.connect + errors.read + errors.write + errors.timeout,
        latency:percentile(50), latency:percentile(99)))
end
