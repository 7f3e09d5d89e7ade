# SPDX-License-Identifier: BSD-3-Clause
# netboot-demo.sh: what examples/netboot and tests/guests/ipxe-qemu serve to iPXE, and how they check what came.
# shellcheck shell=bash

# plain FILE: without escape sequences, for those who read it later
plain() { sed -e 's/\x1b\[[0-9;?]*[A-Za-z]//g' -e 's/\x1bc//g' -e 's/\r//g' "$1"; }

# demo_serve OUT: files under OUT; sets tftp, bootfile and, of the HTTP server, port and server (a process id).
demo_serve() {
  local out=$1 http=$1/http
  tftp=$out/tftp bootfile=boot.ipxe
  rm -rf "$tftp" "$http"
  mkdir -p "$tftp" "$http"
  # A file that anyone can make again: 8456 lines that differ, 253,680 bytes.
  seq -f 'libdevemu netboot line %06.0f' 1 8456 >"$http/payload.txt"
  python3 -u -c '
import functools, http.server, sys
class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
class Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args): pass
server = Server(("127.0.0.1", 0), functools.partial(Handler, directory=sys.argv[1]))
print(server.server_address[1], flush=True)
server.serve_forever()' "$http" >"$out/http.port" 2>"$out/http.log" </dev/null &
  server=$!
  for _ in $(seq 100); do
    [ -s "$out/http.port" ] && break
    sleep 0.05
  done
  port=$(cat "$out/http.port")
  [ -n "$port" ] || die "the HTTP server did not start: $out/http.log"
  cat >"$tftp/boot.ipxe" <<END
#!ipxe
echo Hello from the TFTP script
echo My address is \${net0/ip}, my card \${net0/chip}
imgfetch --name payload http://10.0.2.2:$port/payload.txt
imgstat
echo Netboot is done
END
}

# demo_check OUT PCAP: the file carved out of the capture is the one served, and OUT/transcript.txt reports its size.
demo_check() {
  local out=$1 want got size
  rm -rf "$out/carved"
  tshark -r "$2" -q --export-objects "http,$out/carved" -d "tcp.port==$port,http" \
    >"$out/tshark.log" 2>&1 || die "tshark could not read the capture: $out/tshark.log"
  want=$(sha256sum <"$out/http/payload.txt")
  got=$(sha256sum <"$out/carved/payload.txt") || die "the file is not in the capture"
  echo "SHA-256 of the file as served:                ${want%% *}"
  echo "SHA-256 of the file as carved out of the pcap: ${got%% *}"
  [ "$want" = "$got" ] || die "they differ"
  size=$(stat -c %s "$out/http/payload.txt")
  grep -q "payload : $size bytes" "$out/transcript.txt" || die "iPXE did not report a file of $size bytes"
  echo "equal, and iPXE reports its $size bytes"
}
