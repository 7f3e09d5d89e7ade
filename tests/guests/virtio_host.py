# SPDX-License-Identifier: BSD-3-Clause
"""The host of a guest with virtio devices: what the guest asks of it, and QEMU's command line for each way of having them."""
import hashlib
import os
import random
import socket
import subprocess
import threading

import rig

DISK_MIB = 256
MACS = ["52:54:00:de:76:00", "52:54:00:de:76:01"]
FLUSHED_BEFORE_CUT = 12


def echo(connection):
    """Send back what comes, until it ends."""
    def loop():
        with connection:
            while data := connection.recv(1 << 16):
                connection.sendall(data)
    threading.Thread(target=loop, daemon=True).start()


def connect(path):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    s.connect(path)
    return s


class Host:
    def __init__(self, tmp, devices, ring, iommu=False, threads=1):
        self.tmp, self.devices, self.ring, self.iommu, self.threads = tmp, devices, ring, iommu, threads
        self.packed = "on" if ring == "packed" else "off"
        self.traffic = rig.Traffic()
        self.machine = []  # what the power cut kills
        self.flushed = self.cut = 0
        self.disk = f"{tmp}/disk"
        self.balloon = self.key = None  # how the transport does these
        self.control = None  # where serve takes commands
        with open(self.disk, "wb") as disk:
            disk.write(os.urandom(16 << 20))
            disk.truncate(DISK_MIB << 20)
        if "net" in devices:
            rig.start("iperf3", "-s", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def ask(self, verb, *words):
        method = getattr(self, "ask_" + verb, None)
        return method(*words) if method else f"what is {verb}?"

    def ask_end(self):
        return rig.OVER

    def ask_eof(self):
        return rig.OVER if self.cut else None

    # net
    def ask_sum(self, mebibytes):
        return rig.files_sum(mebibytes)

    def ask_frames(self, mac, count, tag=""):
        return rig.frames(mac, count, tag)

    def ask_tap(self):
        return str(rig.statistics("rx")["packets"])

    def ask_tap_queues(self):
        """What came in and went out by each queue of the tap; "-" where it is not ours, or on several threads."""
        return rig.control(self.control, "frames virtio-net.1") if self.control and self.threads == 1 else "-"

    def ask_traffic(self, mac, seconds):
        return self.traffic.begin(mac, seconds)

    def ask_counted(self, *words):
        return self.traffic.finish(*words)

    # blk
    def ask_sectors(self):
        return str(DISK_MIB << 11)

    def ask_range(self, first, count):
        """The SHA-256 of so many MiB of the disk's file."""
        with open(self.disk, "rb") as disk:
            disk.seek(int(first) << 20)
            return hashlib.sha256(disk.read(int(count) << 20)).hexdigest()

    def ask_flushed(self, number):
        self.flushed = int(number)
        if self.flushed == FLUSHED_BEFORE_CUT:
            threading.Timer(random.uniform(0.01, 0.3), self.cut_power).start()
        return "go on"

    def cut_power(self):
        self.cut = 1
        for process in self.machine:
            rig.kill(process)

    def look_at_disk(self):
        """After the power cut: the journal makes the filesystem whole, and every file that was flushed is in it."""
        if not self.cut:
            return
        for process in self.machine:
            process.wait()
        fsck = subprocess.run(["/sbin/e2fsck", "-fp", self.disk], stdout=subprocess.PIPE, text=True)
        rig.check(fsck.returncode in (0, 1), f"after the power cut, e2fsck: {fsck.stdout.strip().splitlines()[-1:]}")
        good = 0
        for number in range(1, self.flushed + 1):
            line = f"{number}\n".encode()
            data = subprocess.run(["/sbin/debugfs", "-R", f"cat /f.{number}", self.disk], stdout=subprocess.PIPE,
                                  stderr=subprocess.DEVNULL).stdout
            good += data == (line * (200000 // len(line) + 1))[:200000]
        rig.check(good == self.flushed, f"after the power cut, files that were flushed: {good} of {self.flushed} are whole")

    # console
    def ask_console(self):
        for name in ("console", "port"):
            echo(connect(f"{self.tmp}/{name}.chr"))
        return "done"

    # balloon, input
    def ask_balloon(self, mebibytes):
        return self.balloon(int(mebibytes))

    def ask_key(self):
        return self.key()

    # vsock, as Firecracker maps it: HOST_PORT is the socket PATH_PORT; to a guest's port, connect to PATH and say so.
    def ask_cid(self):
        def loop(listener):
            while True:
                echo(listener.accept()[0])
        for port, kind in ((1234, socket.SOCK_STREAM), (1235, socket.SOCK_SEQPACKET)):
            listener = rig.listen(f"{self.tmp}/vsock_{port}", kind)
            threading.Thread(target=loop, args=[listener], daemon=True).start()
        return "3"

    def ask_vsock(self, port):
        with connect(f"{self.tmp}/vsock") as s:
            s.settimeout(30)
            s.sendall(f"CONNECT {port}\n".encode())
            answer = s.makefile("rb", buffering=0).readline()
            if not answer.startswith(b"OK "):
                return f"refused: {answer}"
            data = os.urandom(1 << 20)
            sender = threading.Thread(target=lambda: (s.sendall(data), s.shutdown(socket.SHUT_WR)))
            sender.start()
            came = b""
            while part := s.recv(1 << 16):
                came += part
            sender.join()
            return "right" if came == data else f"wrong: {len(came)} bytes"


# --- QEMU's own devices


def built_in(host, _build, _log):
    packed = f"packed={host.packed}"
    lines = {
        "rng": ["-device", f"virtio-rng-pci,{packed}"],
        "blk": ["-blockdev", f"driver=file,filename={host.disk},node-name=disk,discard=unmap",
                "-device", f"virtio-blk-pci,drive=disk,serial=devemu-rig,num-queues=2,{packed}"],
        "net": ["-netdev", "user,id=net0", "-device", f"virtio-net-pci,netdev=net0,mac={MACS[0]},{packed}",
                "-netdev", f"tap,id=net1,ifname={rig.TAP},script=no,downscript=no,queues=2,vhost=off",
                "-device", f"virtio-net-pci,netdev=net1,mac={MACS[1]},mq=on,vectors=6,{packed}"],
        "console": ["-device", f"virtio-serial-pci,id=serial,{packed}"],
        "balloon": ["-device", f"virtio-balloon-pci,{packed}"],
        "input": ["-device", f"virtio-keyboard-pci,{packed}"],
    }
    for name, device in (("console", "virtconsole"), ("port", "virtserialport,name=org.devemu.port")):
        lines["console"] += ["-chardev", f"socket,id={name},path={host.tmp}/{name}.chr,server=on,wait=off",
                             "-device", f"{device},bus=serial.0,chardev={name}"]

    def key():
        events = [{"type": "key", "data": {"down": down, "key": {"type": "qcode", "data": "a"}}} for down in (True, False)]
        for event in events:
            rig.qmp(f"{host.tmp}/qmp", "input-send-event", events=[event])
        return "done"

    host.key = key
    host.balloon = lambda mebibytes: rig.qmp(f"{host.tmp}/qmp", "balloon", value=(768 - mebibytes) << 20)
    return sum((lines[name] for name in host.devices), [])


# --- ours


def texts(host):
    """What serve is told, by device."""
    ring = f"packed={host.packed}{',iommu_platform=on' * host.iommu}"
    return {
        "rng": f"virtio-rng,{ring},backend=random",
        "blk": f"virtio-blk,{ring},serial=devemu-rig,num_queues=2,backend=file:{host.disk}",
        "net": f"virtio-net,{ring},mac={MACS[0]},backend=slirp",
        "net1": f"virtio-net,{ring},mac={MACS[1]},queues=2,backend=tap,ifname={rig.TAP},queues=2",
        "balloon": f"virtio-balloon,{ring}",
        "input": f"virtio-input,{ring}",
        "console": f"virtio-console,{ring},ports=2,names=:org.devemu.port,backend=unix:{host.tmp}/console.chr,"
                   f"port.1=unix:{host.tmp}/port.chr",
        "vsock": f"virtio-vsock,{ring},guest-cid=3,backend=unix:{host.tmp}/vsock",
    }


def serve(host, build, log, protocol):
    """examples/serve with the devices, each on a socket of its own: pairs of device and path."""
    names = sum((["net", "net1"] if name == "net" else [name] for name in host.devices), [])
    sockets = [(name, f"{host.tmp}/{name}.sock") for name in names]
    words = []
    for name, path in sockets:
        threads = f",threads={host.threads}" if host.threads > 1 and name in ("net1", "blk") else ""
        words += [f"{protocol}:{path}{threads}", texts(host)[name]]
    host.control = f"{host.tmp}/control"
    host.machine.append(rig.serve(build, log, "--control", host.control, *words,
                                  sockets=[host.control, *(path for _, path in sockets)]))

    def key():
        return " ".join(rig.control(host.control, f"key virtio-input 30 {state}") for state in ("on", "off"))

    host.key = key
    host.balloon = lambda mebibytes: rig.control(host.control, f"set virtio-balloon target {mebibytes << 8}")
    return sockets


def vfio_user(host, build, log):
    return sum((rig.socket_device(path) for _, path in serve(host, build, log, "vfio-user")), [])


# --- over vhost-user: sockets of back ends, as pairs of device and path

TYPES = {"net": 1, "net1": 1, "blk": 2, "console": 3, "rng": 4, "balloon": 5, "input": 18, "vsock": 19}


def qemu_front_ends(host, sockets):
    """QEMU's options: its own front end of that kind, or the one for any device."""
    packed = f"packed={host.packed}{',iommu_platform=on,ats=on' * host.iommu}"
    modern = ",disable-legacy=on" * host.iommu
    lines = {
        "net": f"virtio-net-pci,netdev=net,mac={MACS[0]}{modern}",
        "net1": f"virtio-net-pci,netdev=net1,mac={MACS[1]},mq=on,vectors=6{modern}",
        "blk": f"vhost-user-blk-pci,num-queues=2{modern}",
        "rng": "vhost-user-rng-pci",
        "input": "vhost-user-input-pci",
        "vsock": "vhost-user-vsock-pci",
        "console": "vhost-user-test-device-pci,virtio-id=3,num_vqs=6,config_size=12",
        "balloon": "vhost-user-test-device-pci,virtio-id=5,num_vqs=5,config_size=16",
    }
    words = ["-device", "intel-iommu,caching-mode=on,device-iotlb=on"] if host.iommu else []
    for name, path in sockets:
        words += ["-chardev", f"socket,id=vhost-{name},path={path}"]
        if name.startswith("net"):
            words += ["-netdev", f"vhost-user,id={name},chardev=vhost-{name},queues={2 if name == 'net1' else 1}",
                      "-device", f"{lines[name]},{packed}"]
        else:
            words += ["-device", f"{lines[name]},chardev=vhost-{name},{packed}"]
    return words


def uml_front_ends(_host, sockets):
    return [f"virtio_uml.device={path}:{TYPES[name]}" for name, path in sockets]


def vhost_user(host, build, log):
    return serve(host, build, log, "vhost-user")


def storage_daemon(host, _build, log):
    """A disk alone, of qemu-storage-daemon."""
    path = f"{host.tmp}/blk.sock"
    daemon = rig.start("qemu-storage-daemon", "--blockdev", f"driver=file,filename={host.disk},node-name=disk,discard=unmap",
                       "--export", f"vhost-user-blk,id=disk,node-name=disk,writable=on,num-queues=2,addr.type=unix,"
                       f"addr.path={path}", stdout=open(log, "a"), stderr=subprocess.STDOUT)
    rig.wait_for_files("qemu-storage-daemon", daemon, log, path)
    host.machine.append(daemon)
    return [("blk", path)]
