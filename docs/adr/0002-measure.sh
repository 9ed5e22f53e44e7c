#!/usr/bin/env bash
# CPU per request at the proxy: its processor time divided by the calls it carried.
# Needs haproxy with Lua, nginx and wrk. Prints one line each: bare nginx, bare haproxy, haproxy with decisions.
set -euo pipefail
HAPROXY=${HAPROXY:-haproxy}; SECONDS_EACH=${SECONDS_EACH:-10}
here=$(mktemp -d); pids=(); trap 'kill ${pids[@]} 2>/dev/null; rm -rf "$here"' EXIT
defaults='global
  maxconn 4096
  nbthread 1
defaults
  mode http
  timeout client 30s
  timeout server 30s
  timeout connect 5s
  timeout http-request 10s
  http-reuse always'

printf '%s\nfrontend f\n  bind 127.0.0.1:18080\n  http-request return status 200 content-type text/plain string ok\n' "$defaults" > "$here/backend.cfg"
printf '%s\nfrontend f\n  bind 127.0.0.1:18081\n  default_backend b\nbackend b\n  server s 127.0.0.1:18080\n' "$defaults" > "$here/bare.cfg"

# A hundred thousand stored decisions in 256 maps; Lua looks one up, sets a header's variable and allows.
awk -v d="$here" 'BEGIN { for (k = 0; k < 900; k++) a = a "a"; for (i = 0; i < 256; i++) for (j = 1; j <= 400; j++)
  printf "%02x-%d 1999999999|client|%s\n", i, j, a > sprintf("%s/d-%02x.map", d, i) }'
cat > "$here/decide.lua" <<LUA
local maps = {}
for i = 0, 255 do local h = string.format("%02x", i); maps[h] = Map.new("$here/d-" .. h .. ".map", Map._str) end
core.register_action("decide", {"http-req"}, function(txn)
  local key = txn.sf:req_hdr("x-key")
  local value = maps[key:sub(1, 2)]:lookup(key)
  if not value then return end
  local expires, client, assertion = value:match("^(%d+)|([^|]*)|(.*)\$")
  if tonumber(expires) < core.now().sec then return end
  txn:set_var("txn.client", client); txn:set_var("txn.assertion", assertion); txn:set_var("txn.allow", 1)
end, 0)
LUA
printf '%s\nfrontend f\n  bind 127.0.0.1:18082\n  http-request lua.decide\n  http-request return status 500 unless { var(txn.allow) -m int 1 }\n  http-request track-sc0 var(txn.client) table w\n  http-request return status 429 if { sc_get_gpc(0,0,w) gt 100000000 }\n  http-request sc-inc-gpc(0,0)\n  http-request del-header Authorization\n  http-request set-header X-JWT-Assertion %%[var(txn.assertion)]\n  default_backend b\nbackend b\n  server s 127.0.0.1:18080\nbackend w\n  stick-table type string len 64 size 100k expire 2m store gpc(1)\n' "${defaults/nbthread 1/nbthread 1
  lua-load-per-thread $here/decide.lua}" > "$here/decide.cfg"
cat > "$here/nginx.conf" <<NGINX
worker_processes 1; daemon off; pid $here/nginx.pid; error_log /dev/null;
events { worker_connections 1024; }
http { access_log off; upstream b { server 127.0.0.1:18080; keepalive 64; }
  server { listen 127.0.0.1:18083; location / { proxy_pass http://b; proxy_http_version 1.1; proxy_set_header Connection ""; } } }
NGINX

ticks() { awk '{print $14 + $15}' "/proc/$1/stat"; }
round() { # NAME PID PORT
  local before after calls
  before=$(ticks "$2")
  calls=$(wrk -t1 -c32 -d"$SECONDS_EACH"s -H 'X-Key: 7f-200' "http://127.0.0.1:$3/" | awk '/requests in/ {print $1}')
  after=$(ticks "$2")
  awk -v n="$1" -v t=$((after - before)) -v c="$calls" -v hz="$(getconf CLK_TCK)" 'BEGIN {printf "%-22s %6.1f µs a call (%d calls)\n", n, t * 1e6 / hz / c, c}'
}
for name in backend bare decide; do "$HAPROXY" -f "$here/$name.cfg" & pids+=($!); done
if command -v nginx >/dev/null; then nginx -c "$here/nginx.conf" -p "$here" & pids+=($!); fi
sleep 2
for _ in 1 2 3; do
  [ ${#pids[@]} -lt 4 ] || round 'nginx, bare' "$(pgrep -P "${pids[3]}")" 18083
  round 'haproxy, bare' "${pids[1]}" 18081
  round 'haproxy, deciding' "${pids[2]}" 18082
done
