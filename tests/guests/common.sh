# SPDX-License-Identifier: BSD-3-Clause
# What the guest tests share: the command line of a netboot whose network is played back from its recording.
# shellcheck shell=bash
firmware=/usr/share/seabios/bios-256k.bin
vgabios=/usr/share/seabios/vgabios-isavga.bin
ipxe=/usr/lib/ipxe/qemu/pxe-pcnet.rom

# A netboot to play back: made once a build by examples/netboot.
need_netboot() {
  [ -s build/netboot/network.pcap ] || examples/netboot >/dev/null
}

# playback BUILD ARGUMENT...
playback() {
  local build=$1
  shift
  "$build/examples/pc" --firmware $firmware --rom $vgabios \
    --nic "am79c970a,rom=$ipxe,backend=playback,path=build/netboot/network.pcap" --serial stdout "$@"
}
