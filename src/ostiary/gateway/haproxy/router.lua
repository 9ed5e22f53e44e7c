-- Which resource of an API a call is about: a trie over path segments.
--
-- Reads the values that resources.py writes: METHOD:/segment/{}/*:scope,scope:name=value|… with percent-encoded
-- parts; what is said by name has a meaning for decide.lua, and may be absent.
-- The path is matched first, independent of the method; in each segment a literal goes before a literal with
-- placeholders, that before a placeholder, that before the rest (`*`). The method is looked at afterwards, so
-- a wrong method is never an escape to a wider resource. Errors here are errors of decide.lua: the call fails.

local router = {}

local function decode(text)
    return (text:gsub("%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end))
end
router.decode = decode

local function node()
    return { literals = {} }
end

-- Splits "x{}y" into the literal pieces around its placeholders.
local function pieces_of(segment)
    local pieces, from = {}, 1
    while true do
        local open = segment:find("{}", from, true)
        pieces[#pieces + 1] = decode(segment:sub(from, open and open - 1))
        if not open then return pieces end
        from = open + 2
    end
end

local function child(parent, segment)
    if segment == "*" then
        parent.rest = parent.rest or node()
        return parent.rest
    end
    local pieces = pieces_of(segment)
    if #pieces == 1 then
        local literal = pieces[1]
        parent.literals[literal] = parent.literals[literal] or node()
        return parent.literals[literal]
    end
    if segment == "{}" then
        parent.any = parent.any or node()
        return parent.any
    end
    parent.patterns = parent.patterns or {}
    for _, one in ipairs(parent.patterns) do
        if one.text == segment then return one.node end
    end
    local new = { text = segment, pieces = pieces, node = node() }
    table.insert(parent.patterns, new)
    -- The longer literal is the more specific one; the text makes the order the same everywhere.
    table.sort(parent.patterns, function(a, b)
        if #a.text ~= #b.text then return #a.text > #b.text end
        return a.text < b.text
    end)
    return new.node
end

-- Whether the literal pieces occur in this order with at least one byte for each placeholder between them.
local function fits(pieces, segment)
    local first, last = pieces[1], pieces[#pieces]
    if segment:sub(1, #first) ~= first then return false end
    local at, stop = #first + 1, #segment - #last
    if last ~= "" and segment:sub(stop + 1) ~= last then return false end
    for i = 2, #pieces - 1 do
        local from, to = segment:find(pieces[i], at + 1, true)
        if not from or to > stop then return false end
        at = to + 1
    end
    return at <= stop
end

-- Parses a resources value into a trie; `read(name, text)` reads what a resource says by name.
function router.parse(value, read)
    local root = node()
    for method, path, scopes, more in value:gmatch("([A-Z]+):([^:|]*):([^:|]*)([^|]*)") do
        local at = root
        for segment in path:gmatch("[^/]+") do at = child(at, segment) end
        local required = {}
        for scope in scopes:gmatch("[^,]+") do required[#required + 1] = "," .. scope .. "," end
        at.methods = at.methods or {}
        at.methods[method] = { scopes = required }
        for name, said in more:gmatch(":([%l_]+)=([^:]*)") do at.methods[method][name] = read(name, said) end
    end
    return root
end

local match = string.match

-- Finds the methods below a node for what is left of a path; `plain` says that nothing in it is percent-encoded.
-- Slashes at its ends are no difference.
local function find(at, path, from, plain)
    local segment, after = match(path, "([^/]+)()", from)
    if not segment then return at.methods or at.rest and at.rest.methods end
    if not plain then segment = decode(segment) end
    local literal = at.literals[segment]
    local found = literal and find(literal, path, after, plain)
    if found then return found end
    if at.patterns then
        for _, one in ipairs(at.patterns) do
            found = fits(one.pieces, segment) and find(one.node, path, after, plain)
            if found then return found end
        end
    end
    found = at.any and find(at.any, path, after, plain)
    return found or at.rest and at.rest.methods
end

-- Finds the methods of the resource that `path` names: method -> resource, with its `scopes`, any one of which
-- suffices; each stands between commas, percent-encoded.
-- nil: no such resource.
function router.match(root, path)
    return find(root, path, 1, not path:find("%", 1, true)) or nil
end

-- Scopes of a resource with blanks between them, percent-encoded.
function router.listed(scopes)
    return (table.concat(scopes):gsub("^,", ""):gsub(",$", ""):gsub(",,", " "))
end

-- The resource of a method; HEAD is answered as GET is. nil: wrong method.
function router.resource(methods, method)
    return methods[method] or (method == "HEAD" and methods.GET) or nil
end

-- The value of an Allow header.
function router.allowed(methods)
    local names = {}
    for name in pairs(methods) do names[#names + 1] = name end
    if methods.GET and not methods.HEAD then names[#names + 1] = "HEAD" end
    table.sort(names)
    return table.concat(names, ", ")
end

return router
