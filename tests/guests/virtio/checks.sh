# SPDX-License-Identifier: BSD-3-Clause
# What guests check of Linux's virtio drivers, a function for each kind of device; in the guest it is /bin/checks.sh, behind
# /bin/guest.sh. The first network is on libslirp, the second on a tap of the host.
# shellcheck shell=busybox

# the virtio devices of a type, as virtio0; the features that were negotiated; is FEATURE BIT among them?
of() { for d in /sys/bus/virtio/devices/*; do [ -e "$d" ] && [ $(($(cat "$d/device"))) = "$1" ] && basename "$d"; done; }
bits() { grep -o . "/sys/bus/virtio/devices/$1/features" | awk '$1 == 1 {printf "%s%d", s, NR - 1; s = " "}'; }
has() { case " $(bits "$1") " in *" $2 "*) ;; *) return 1 ;; esac; }
# bound TYPE DRIVER COUNT FEATURE...: so many devices have the driver, and each agreed on these features
bound() {
  local type=$1 driver=$2 count=$3 found=0 missing='' d bit
  shift 3
  # those that all must have: VERSION_1, and the kind of ring
  # shellcheck disable=SC2046
  set -- "$@" $(option features | tr , ' ')
  for d in $(of "$type"); do
    [ "$(basename "$(readlink "/sys/bus/virtio/devices/$d/driver")")" = "$driver" ] && found=$((found + 1))
    for bit in "$@"; do has "$d" "$bit" || missing="$missing $bit"; done
  done
  check "$driver" "$found of $count, features $(for d in $(of "$type"); do echo "$(bits "$d");"; done | xargs)" [ $found = "$count" ]
  [ $found = "$count" ] || return
  check "$driver, features that it must have" "$* (missing:$missing)" [ -z "$missing" ]
}

# --- entropy

rng() {
  bound 4 virtio_rng 1 || return
  check 'entropy is the source' "$(cat /sys/class/misc/hw_random/rng_current)" \
    grep -q virtio_rng /sys/class/misc/hw_random/rng_current
  local begin size
  begin=$(now)
  dd if=/dev/hwrng of=/tmp/rng bs=64 count=1024 iflag=fullblock 2>/dev/null
  echo "| entropy: $((6400 / ($(now) - begin + 1))) KiB/s"
  size=$(gzip -c /tmp/rng | wc -c)
  check '64 KiB of entropy do not compress' "$size" [ "$size" -gt 65536 ]
  # shellcheck disable=SC2046
  set -- $(od -An -v -tx8 -w8 /tmp/rng | sort | uniq -d | wc -l)
  check 'no eight bytes come twice' "$1 do" equal "$1" 0
}

# --- block

mib=1048576
sectors() { cat /sys/block/vda/size; }
put() { dd if="$1" of=/dev/vda bs=1M seek="$2" oflag=direct conv=notrunc,fsync 2>/dev/null; }

blk() {
  local sum size
  # SEG_MAX, BLK_SIZE, FLUSH, DISCARD, WRITE_ZEROES
  bound 2 virtio_blk 1 2 6 9 13 14 || return
  check 'size of the disk' "$(sectors) sectors" equal "$(sectors)" "$(ask sectors)"
  check serial "$(cat /sys/block/vda/serial)" equal "$(cat /sys/block/vda/serial)" "$(option serial)"
  size=$(find /sys/block/vda/mq -mindepth 1 -maxdepth 1 | wc -l)
  check queues "$size" equal "$size" "$(option queues)"
  sum=$(dd if=/dev/vda bs=1M count=16 iflag=direct 2>/dev/null | hash)
  check "the host's 16 MiB" "$sum" equal "$sum" "$(ask range 0 16)"
  head -c $((16 * mib)) /dev/urandom >/tmp/data
  put /tmp/data 16
  sum=$(hash /tmp/data)
  check "the guest's 16 MiB, flushed" "$sum" equal "$sum" "$(ask range 16 16)"
  rm /tmp/data
  sum=$(head -c $((4 * mib)) /dev/zero | hash)
  /bin/blkdiscard -o $((20 * mib)) -l $((4 * mib)) /dev/vda
  check '4 MiB discarded read as the backend says' "$(ask range 20 4)" equal \
    "$(dd if=/dev/vda bs=1M skip=20 count=4 iflag=direct 2>/dev/null | hash)" "$(ask range 20 4)"
  /bin/blkdiscard -z -o $((24 * mib)) -l $((4 * mib)) /dev/vda
  check '4 MiB of zeroes written' "$(ask range 24 4)" equal "$(ask range 24 4)" "$sum"
  for engine in 'libaio --direct=1 --iodepth=32 --bsrange=4k-128k' 'psync --direct=1 --bs=512 --io_size=1M'; do
    # shellcheck disable=SC2086
    fio --name=verify --filename=/dev/vda --offset=64M --size=64M --rw=randwrite --ioengine=$engine --verify=crc32c \
      --do_verify=1 --verify_fatal=1 --thread --eta=never --output=/tmp/fio
    sum=$?
    check "fio verify, $engine" "$(grep -E 'WRITE:|READ:' /tmp/fio | sed 's/, run=.*//; s/.*bw=/bw=/' | xargs)" equal $sum 0
    [ $sum = 0 ] || cat /tmp/fio
  done
  files
}

# A filesystem, and what is on it after the cache was dropped.
files() {
  local sum
  mkfs.ext4 -q -F /dev/vda
  check mkfs.ext4 "$(dumpe2fs -h /dev/vda 2>/dev/null | sed -n 's/^Block count: *//p') blocks" mount -t ext4 /dev/vda /mnt
  dd if=/dev/urandom of=/mnt/data bs=1M count=24 2>/dev/null
  cp -r /modules /bin/busybox /mnt
  sync
  sum=$(hash /mnt/data)
  umount /mnt
  echo 3 >/proc/sys/vm/drop_caches
  mount -t ext4 /dev/vda /mnt
  check '24 MiB of a file after umount and mount' "$sum" equal "$(hash /mnt/data)" "$sum"
  check 'many files' "$(find /mnt | wc -l)" diff -r /modules /mnt/modules
  umount /mnt
  e2fsck -fn /dev/vda >/tmp/fsck 2>&1
  check e2fsck "$(tail -n 1 /tmp/fsck | cut -d: -f2-)" equal $? 0
}

# The host cuts the power when it has heard of enough files that are flushed. What file N holds follows from N.
power_cut() {
  local i=0
  mkfs.ext4 -q -F /dev/vda
  mount -t ext4 /dev/vda /mnt
  while :; do dd if=/dev/urandom of=/mnt/noise bs=1M count=16 2>/dev/null; done &
  while :; do
    i=$((i + 1))
    yes $i | dd of=/mnt/f.$i bs=200000 count=1 iflag=fullblock conv=fsync 2>/dev/null
    ask flushed $i >/dev/null
  done
}

# --- net

tap=10.9.0.1
mac_of() { cat "/sys/class/net/$1/address"; }
average() { echo "$(stat "$1" "$2_packets") $(stat "$1" "$2_bytes")"; }
speed() { # NAME ARGUMENT...: iperf3's receiver, in Mbit/s
  local name=$1
  shift
  iperf3 -f m -t 2 -c $tap "$@" >/tmp/iperf 2>&1
  check "iperf3 $name" "$(grep receiver /tmp/iperf | tail -n 1 | awk '{print $(NF - 2), $(NF - 1)}')" equal $? 0
  echo "| ${when}iperf3 $name: $(grep receiver /tmp/iperf | tail -n 1 | awk '{print $(NF - 2)}') Mbit/s"
}
# came MAC [TAG]: how many of 50 frames to that address the driver sees. The answer to a ping comes behind them.
came() {
  local before=$(stat eth1 rx_packets)
  ask frames "$1" 50 "$2" >/dev/null
  pinged 1 56 $tap
  echo $(($(stat eth1 rx_packets) - before - 1))
}

net() {
  local seen
  # MAC, MRG_RXBUF, STATUS, CTRL_VQ
  bound 1 virtio_net "$(option nets)" 5 15 16 17 || return
  check 'addresses' "$(mac_of eth0) $(mac_of eth1)" equal "$(mac_of eth0)$(mac_of eth1)" 52:54:00:de:76:0052:54:00:de:76:01
  slirp eth0 "$(option mebibytes)"
  ip link set eth1 up
  ip addr add 10.9.0.2/24 dev eth1
  for size in 0 17 18 1472 1473 8000; do
    check "ping of $size bytes" '3 of 3' pinged 3 $size $tap
  done
  filters
  offloads
  queues
  counted
}

# A vhost-user front end keeps the control queue to itself, and its filters with it: then all comes.
kept() { [ "$(option filters)" = 0 ] || check "$1" "$2 of 50" [ "$2" -lt 10 ]; }

filters() {
  local seen mac=$(mac_of eth1)
  seen=$(came "$mac")
  check 'own address' "$seen of 50" [ "$seen" -ge 50 ]
  seen=$(came 02:00:00:00:00:99)
  kept 'address of another' "$seen"
  ip link set eth1 promisc on
  seen=$(came 02:00:00:00:00:99)
  check promiscuous "$seen of 50" [ "$seen" -ge 50 ]
  ip link set eth1 promisc off
  seen=$(came 01:00:5e:11:22:33)
  kept 'multicast that nobody joined' "$seen"
  ifconfig eth1 allmulti
  seen=$(came 01:00:5e:11:22:33)
  check 'all multicast' "$seen of 50" [ "$seen" -ge 50 ]
  ifconfig eth1 -allmulti
  ip link set eth1 address 52:54:00:de:76:99
  pinged 1 56 $tap
  seen=$(came 52:54:00:de:76:99)
  check 'an address that the guest chose' "$seen of 50" [ "$seen" -ge 50 ]
  seen=$(came "$mac")
  kept 'the address of before' "$seen"
  ip link set eth1 address "$mac"
  pinged 1 56 $tap
}

offloads() {
  local rest='sg tx tso gso gro rx-gro-hw' word device
  device=$(basename "$(readlink /sys/class/net/eth1/device)")
  # CSUM, GUEST_CSUM, GUEST_TSO4, HOST_TSO4
  for word in 0 1 7 11; do check "feature $word" "$(bits "$device")" has "$device" $word; done
  for state in off on; do
    when="offloads $state, "
    for word in $rest; do ethtool -K eth1 $word $state 2>/dev/null; done
    echo "| $when$(ethtool -k eth1 | grep -E '^(tx-checksumming|tcp-seg|rx-gro-hw|scatter-gather)' | xargs)"
    both_ways $tap "$(option mebibytes)"
    speed 'to the host'
    speed 'to the guest' -R
  done
  when=
}

# The interrupts of a queue pair: those of its two queues.
# Frames of the tap's queues since BEFORE ("IN/OUT IN/OUT"): did each carry some, both ways?
all_moved() {
  [ "$1" = - ] && return
  echo "$1 $2" | tr / ' ' | awk '{for (i = 1; i <= 4; i++) if ($(i + 4) <= $i) exit 1}'
}
interrupts() { grep -E "$1-(input|output)\\.$2\$" /proc/interrupts | awk '{for (i = 2; i <= 3; i++) n += $i} END {print n + 0}'; }
queues() {
  local count d q before after tap_before tap_after
  count=$(option queues)
  [ "$count" -gt 1 ] || return
  d=$(basename "$(readlink /sys/class/net/eth1/device)")
  ethtool -L eth1 combined "$count"
  check 'queue pairs' "$(ethtool -l eth1 | sed -n '/Current/,$s/Combined:[^0-9]*//p')" equal \
    "$(ethtool -l eth1 | sed -n '/Current/,$s/Combined:[^0-9]*//p')" "$count"
  before=$(for q in 0 1; do interrupts "$d" $q; done | xargs)
  tap_before=$(ask tap_queues)
  when="$count queue pairs, "
  speed 'to the host' -P 4
  speed 'to the guest' -P 4 -R
  when=
  after=$(for q in 0 1; do interrupts "$d" $q; done | xargs)
  check 'each queue pair has interrupts' "$before, then $after" [ "${before%% *}" -lt "${after%% *}" -a \
    "${before##* }" -lt "${after##* }" ]
  tap_after=$(ask tap_queues)
  check "each queue of the tap has frames in and out" "$tap_before, then $tap_after" all_moved "$tap_before" "$tap_after"
  ethtool -L eth1 combined 1
  check 'ping by one queue pair again' '5 of 5' pinged 5 1400 $tap
}

tap_has() { [ "$(ask tap)" -ge "$1" ]; }
# pktgen, where the kernel has it: what the driver sent is what the tap has
generated() {
  local seconds=$1 sent before
  [ -d /proc/net/pktgen ] || return
  echo rem_device_all >/proc/net/pktgen/kpktgend_0
  echo add_device eth1 >/proc/net/pktgen/kpktgend_0
  for word in 'count 0' 'pkt_size 60' "dst_mac $(option peer)" 'dst 10.9.0.1' 'src_min 10.9.0.2' 'udp_dst_min 9' 'udp_dst_max 9'; do
    echo "$word" >/proc/net/pktgen/eth1
  done
  before=$(ask tap)
  sent=$(stat eth1 tx_packets)
  # start runs until it is stopped
  sh -c 'echo start >/proc/net/pktgen/pgctrl' &
  sleep "$seconds"
  echo stop >/proc/net/pktgen/pgctrl
  wait
  sent=$(($(stat eth1 tx_packets) - sent))
  # what is on its way still
  await 10 tap_has $((before + sent))
  check "pktgen for $seconds s" "$sent frames sent, the tap has $(($(ask tap) - before)) more" \
    equal $(($(ask tap) - before)) $sent
  echo "| pktgen: $((sent / seconds)) frames/s"
}

# two-way traffic in which every frame is checked
counted() {
  local seconds=$(option seconds) missed
  generated "$seconds"
  missed=$(($(stat eth1 rx_missed_errors) + $(stat eth1 rx_dropped)))
  ask traffic "$(mac_of eth1)" "$seconds" >/dev/null
  traffic eth1 "$(option peer)" "$seconds" >/tmp/traffic
  # shellcheck disable=SC2046
  ask counted $(cat /tmp/traffic) missed $(($(stat eth1 rx_missed_errors) + $(stat eth1 rx_dropped) - missed)) >/dev/null
}

# --- console

console() {
  local line port sum begin
  bound 3 virtio_console 1 1 || return
  ask console >/dev/null
  stty raw -echo </dev/hvc0
  exec 3<>/dev/hvc0
  echo 'hello, console' >&3
  read -r -t 60 line <&3
  check 'echo by hvc0' "$line" equal "$line" 'hello, console'
  exec 3>&-
  port=$(grep -lx org.devemu.port /sys/class/virtio-ports/*/name)
  check 'a named port' "$port" [ -n "$port" ]
  port=/dev/$(basename "$(dirname "$port")")
  head -c $mib /dev/urandom >/tmp/data
  exec 3<>"$port"
  begin=$(now)
  cat /tmp/data >&3 &
  sum=$(head -c $mib <&3 | hash)
  rate 'echo by a port' "$begin" 1
  exec 3>&-
  check '1 MiB there and back by a port' "$sum" equal "$sum" "$(hash /tmp/data)"
}

# --- balloon

total() { awk '/^MemTotal/ {print $2}' /proc/meminfo; }
less_than() { [ "$(total)" -lt "$1" ]; }
more_than() { [ "$(total)" -gt "$1" ]; }
balloon() {
  local before
  bound 5 virtio_balloon 1 || return
  before=$(total)
  ask balloon 64 >/dev/null
  await 30 less_than $((before - 60000))
  check 'balloon of 64 MiB' "$before kB, then $(total) kB" less_than $((before - 60000))
  ask balloon 0 >/dev/null
  await 30 more_than $((before - 1000))
  check 'balloon given back' "$(total) kB" more_than $((before - 1000))
}

# --- vsock

vsock() {
  local seen
  bound 19 vmw_vsock_virtio_transport 1 || return
  check 'context id' "$(ask cid)" [ -e /dev/vsock ]
  for type in stream seqpacket; do
    [ $type = stream ] || has "$(of 19)" 1 || continue
    seen=$(/bin/vsock $type connect 2 $([ $type = stream ] && echo 1234 || echo 1235) $mib 2>&1)
    check "vsock $type to the host: 1 MiB echoed" "$seen" equal "$seen" "echoed $mib"
  done
  /bin/vsock stream listen 4321 >/tmp/vsock 2>&1 &
  await 5 grep -q listening /tmp/vsock
  ask vsock 4321 >/tmp/answer
  wait
  check 'vsock stream from the host: 1 MiB echoed' "$(tail -n 1 /tmp/vsock), the host: $(cat /tmp/answer)" \
    equal "$(tail -n 1 /tmp/vsock) $(cat /tmp/answer)" "echoed $mib right"
  seen=$(/bin/vsock stream connect 2 999 10 2>&1)
  check 'vsock to a port where nobody listens' "$seen" equal "$seen" 'connect: Connection reset by peer'
}

# --- input

input() {
  local event seen
  bound 18 virtio_input 1 || return
  event=$(basename "$(ls -d /sys/bus/virtio/devices/"$(of 18)"/input/input*/event*)")
  check 'input device' "$(cat "/sys/class/input/$event/device/name")" [ -c "/dev/input/$event" ]
  # what comes from here on waits for its reader
  exec 3<"/dev/input/$event"
  ask key >/dev/null
  # four events of 24 bytes: A down, SYN, A up, SYN; the last 8 bytes are type, code, value
  seen=$(timeout 60 head -c 96 <&3 | od -An -v -tx2 -w24 | cut -d' ' -f10-12 | xargs)
  exec 3<&-
  check 'a key' "$seen" equal "$seen" '0001 001e 0001 0000 0000 0000 0001 001e 0000 0000 0000 0000'
}
