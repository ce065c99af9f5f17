-- SPDX-License-Identifier: Apache-2.0
-- wrk with mixed requests whose every answer is checked. The argument is a file that has a line for
-- each request: a file with its text, a file with the body wanted, and the status wanted. One
-- connection for each thread, or an answer could not be told to belong to its request.
local threads = {}

function setup(thread)
  table.insert(threads, thread)
  thread:set("seed", #threads)
end

local function read(name)
  local file = assert(io.open(name, "rb"))
  local text = file:read("*a")
  file:close()
  return text
end

function init(args)
  math.randomseed(seed)
  checked, bad, first_bad = 0, 0, ""
  cases = {}
  for line in io.lines(args[1]) do
    local request_file, body_file, status = line:match("^(%S+) (%S+) (%d+)$")
    table.insert(cases, {text = read(request_file), body = read(body_file),
                         status = tonumber(status)})
  end
end

function request()
  asked = cases[math.random(#cases)]
  return asked.text
end

function response(status, headers, body)
  checked = checked + 1
  local length = tonumber(headers["Content-Length"] or -1)
  if status ~= asked.status or body ~= asked.body or
      (status ~= 304 and length ~= #asked.body) then
    bad = bad + 1
    if first_bad == "" then
      first_bad = string.format("%sstatus %d, %d bytes, Content-Length %d; wanted %d, %d bytes",
                                asked.text, status, #body, length, asked.status, #asked.body)
    end
  end
end

function done()
  local all, wrong, text = 0, 0, ""
  for _, thread in ipairs(threads) do
    all = all + thread:get("checked")
    wrong = wrong + thread:get("bad")
    text = text .. thread:get("first_bad")
  end
  print(string.format("checked %d wrong %d %s", all, wrong, text))
end
