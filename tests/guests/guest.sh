# SPDX-License-Identifier: BSD-3-Clause
# What the guests' init scripts share; in the guest it is /bin/guest.sh. It prints "ok NAME: what was seen" or "FAILED NAME:
# what was seen" for each check, and figures as "| NAME: figure"; a line "@host VERB ..." asks the host for something, and the
# host answers with a line. See rig.py.
# shellcheck shell=busybox
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev 2>/dev/null

option() { for word in $(cat /proc/cmdline); do case $word in "$1"=*) echo "${word#*=}" ;; esac; done | tail -n 1; }
tty=/dev/$(option console)
exec <"$tty" >"$tty" 2>&1
stty -echo
dmesg -n 1

when=
# check NAME SEEN COMMAND...: the check holds if something was seen and the command succeeds.
check() {
  local name=$when$1 seen=$2
  shift 2
  if [ -n "$seen" ] && "$@"; then echo "ok $name: $seen"; else echo "FAILED $name: $seen"; fi
}
equal() { [ "$1" = "$2" ]; }
# ask ...: of the host; its answer
ask() {
  local answer
  echo "@host $*" >"$tty"
  read -r answer
  echo "$answer"
}
over() {
  echo "@host end"
  poweroff -f
}
stat() { cat /sys/class/net/"$1"/statistics/"$2"; }
# await SECONDS COMMAND...
await() {
  local left=$(($1 * 10))
  shift
  until "$@"; do
    left=$((left - 1))
    [ $left -gt 0 ] || return 1
    usleep 100000
  done
}
pinged() { ping -q -i 0.2 -c "$1" -s "$2" -W 5 -w 60 "$3" | grep -q "$1 packets transmitted, $1 packets received"; }
hash() { sha256sum "$@" | cut -c1-64; }

# rate NAME BEGIN MEBIBYTES: since BEGIN, in hundredths of a second
now() { cut -d' ' -f1 /proc/uptime | tr -d .; }
rate() { echo "| $when$1: $(($3 * 104857600 / ($(now) - $2 + 1) / 1000)) kB/s"; }

cat >/tmp/lease <<'LEASE'
#!/bin/sh
[ "$1" = bound ] && ip addr add "$ip/$mask" dev "$interface" && ip route add default via "$router"
LEASE
chmod +x /tmp/lease

# down_by_http and up_by_http HOST MEBIBYTES: as much by HTTP from and to the host, with sums; /tmp/down holds it meanwhile.
down_by_http() {
  local begin sum
  begin=$(now)
  wget -q -O /tmp/down "http://$1:$(option http)/$2"
  rate 'HTTP to the guest' "$begin" "$2"
  sum=$(hash /tmp/down)
  check "$2 MiB by HTTP to the guest" "$sum" equal "$sum" "$(ask sum "$2")"
}
up_by_http() {
  local begin
  begin=$(now)
  # busybox's wget posts text only
  {
    printf 'POST /up HTTP/1.0\r\nContent-Length: %d\r\n\r\n' $(($2 << 20))
    cat /tmp/down
  } | nc "$1" "$(option http)" | tail -n 1 >/tmp/answer
  rate 'HTTP to the host' "$begin" "$2"
  check "$2 MiB by HTTP to the host" "$(cat /tmp/answer)" equal "$(cat /tmp/answer)" "$(ask sum "$2")"
}
both_ways() {
  down_by_http "$1" "$2"
  up_by_http "$1" "$2"
  rm -f /tmp/down
}

# slirp INTERFACE MEBIBYTES: DHCP, ping, and as much by HTTP each way, through libslirp
slirp() {
  local address
  ip link set "$1" up
  udhcpc -q -n -t 10 -i "$1" -s /tmp/lease >/dev/null 2>&1
  address=$(ip -4 -o addr show "$1" | sed -n 's/.*inet \([0-9.]*\).*/\1/p')
  check DHCP "$address" equal "$address" 10.0.2.15
  check ping '20 of 20' pinged 20 56 10.0.2.2
  both_ways 10.0.2.2 "$2"
}
