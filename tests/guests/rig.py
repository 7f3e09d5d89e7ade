# SPDX-License-Identifier: BSD-3-Clause
"""What the rigs of tests/guests share: processes that are ended, a network namespace, files by HTTP, and the transcript of a
guest, whose lines are checks ("ok ..." and "FAILED ..."), figures ("| ...") and questions to the host ("@host VERB WORD...").
"""
import hashlib
import http.server
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

PEER = "02:de:76:00:00:01"  # the tap's address
TAP = "tap0"
OVER = object()  # a host's answer: the guest has nothing more to say
WORDS = ("console=ttyS0 quiet panic=-1 mitigations=off tsc=reliable nokaslr no_timer_check random.trust_cpu=on")
started = []
checks = failed = 0


def say(line):
    print(line, flush=True)


def skip(why):
    say(why)
    sys.exit(77)


def check(good, text):
    global checks, failed
    checks += 1
    failed += not good
    say(("ok " if good else "FAILED ") + text)


# --- processes


def run(*command, **options):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, **options).stdout


def start(*command, **options):
    process = subprocess.Popen(command, **options)
    started.append(process)
    return process


def kill(process):
    """At once; with its group, if it has one of its own."""
    try:
        own = os.getpgid(process.pid) == process.pid
        (os.killpg if own else os.kill)(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def end(*processes):
    for process in processes:
        if process.poll() is None:
            # User-Mode Linux panics at SIGTERM; what it left of its group would stay.
            kill(process) if process.args[0] == "setarch" else process.terminate()
    for process in processes:
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            kill(process)
            process.wait()


def end_all():
    end(*started)


def watchdog(seconds):
    timer = threading.Timer(seconds, end_all)
    timer.daemon = True
    timer.start()


def wait_for(what, condition, seconds=30):
    deadline = time.time() + seconds
    while not condition():
        if time.time() > deadline:
            raise RuntimeError(f"{what} did not come in {seconds} s")
        time.sleep(0.02)


def wait_for_files(name, process, log, *paths):
    """Until the process has made these files (its sockets, say)."""
    wait_for(f"the sockets of {name}", lambda: process.poll() is not None or all(map(os.path.exists, paths)))
    if process.poll() is not None:
        raise RuntimeError(f"{name} ended: " + open(log).read())


def serve(build, log, *words, sockets):
    """BUILD/examples/serve, when its sockets are there."""
    process = start(f"{build}/examples/serve", *words, stdout=open(log, "a"), stderr=subprocess.STDOUT)
    wait_for_files("serve", process, log, *sockets)
    return process


# --- what is fetched and made


def fetched(*scripts):
    """What these scripts of tests/guests print; where they can fetch nothing there is nothing to test."""
    found = []
    for script in scripts:
        try:
            found.append(run(*f"tests/guests/{script}".split()).strip())
        except subprocess.CalledProcessError:
            skip(f"tests/guests/{script} could not fetch what it should")
    return found


def tool(name):
    return shutil.which(name, path="/usr/sbin:/usr/bin:/sbin:/bin")


def compiled(source):
    """A program for the guest, static."""
    os.makedirs("build/guests", exist_ok=True)
    program = "build/guests/" + os.path.basename(source).removesuffix(".c")
    run("cc", "-std=c11", "-Wall", "-Wextra", "-Werror", "-O2", "-static", "-o", program, source)
    return program


# --- the network


def enter_namespace():
    """Again from the start in a network namespace of our own; what must be fetched is there by then."""
    if "DEVEMU_GUEST_NET" in os.environ:
        return
    os.environ["DEVEMU_GUEST_NET"] = "own"
    for unshare in (["unshare", "--map-root-user", "--net"], ["unshare", "--net"]):
        if subprocess.run([*unshare, "true"], stderr=subprocess.DEVNULL).returncode == 0:
            os.execvp("unshare", [*unshare, sys.executable, *sys.argv])
    skip("this machine lets this user have no network namespace")


def network(*flags):
    """The namespace's loopback, and a tap with these flags of ip tuntap."""
    run("ip", "link", "set", "lo", "up")
    if not os.access("/dev/net/tun", os.R_OK | os.W_OK):
        skip("this machine lets this user have no tap: /dev/net/tun")
    run("ip", "tuntap", "add", "dev", TAP, "mode", "tap", *flags)
    run("ip", "link", "set", TAP, "address", PEER)
    run("ip", "addr", "add", "10.9.0.1/24", "dev", TAP)
    run("ip", "link", "set", TAP, "up")


def statistics(direction):
    return json.loads(run("ip", "-json", "-stats", "link", "show", TAP))[0]["stats64"][direction]


def frames(mac, count, tag=""):
    """So many frames to an address, from the tap; tag: the bytes between the addresses and the EtherType, in hex."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as s:
        s.bind((TAP, 0))
        frame = bytes.fromhex(mac.replace(":", "") + PEER.replace(":", "") + tag) + b"\x88\xb6" + bytes(46)
        for _ in range(int(count)):
            s.send(frame)
            time.sleep(0.002)
    return "done"


class Files(http.server.BaseHTTPRequestHandler):
    """GET gives as many MiB of the data as its path says, POST answers with the SHA-256 of what came."""
    data = b""

    def do_GET(self):
        self.send_response(200)
        data = self.data[:int(self.path[1:]) << 20]
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_POST(self):
        digest, left = hashlib.sha256(), int(self.headers["Content-Length"])
        while left and (part := self.rfile.read(min(left, 1 << 16))):
            digest.update(part)
            left -= len(part)
        answer = digest.hexdigest().encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


def serve_files(mebibytes):
    """The port of a server of so much data, on every address of the namespace."""
    Files.data = os.urandom(mebibytes << 20)
    server = http.server.ThreadingHTTPServer(("", 0), Files)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server.server_address[1]


def files_sum(mebibytes):
    return hashlib.sha256(Files.data[:int(mebibytes) << 20]).hexdigest()


class Traffic:
    """The host's end of two-way traffic in which every frame is counted; see traffic.c."""

    def begin(self, mac, seconds):
        self.before = statistics("tx")["dropped"]
        self.seconds = int(seconds)
        self.peer = start("build/guests/traffic", TAP, mac, seconds, stdout=subprocess.PIPE, text=True)
        return "done"

    def finish(self, *guest):
        """Does each end have every frame of the other's, but for those that were counted as missed?"""
        host = numbers(self.peer.communicate(timeout=60)[0].split())
        guest = numbers(guest)
        say("| two-way traffic: " + ", ".join(f"{there['received'] // self.seconds} frames/s to the {name}"
                                              for name, there in (("guest", guest), ("host", host))))
        dropped = statistics("tx")["dropped"] - self.before
        for name, sender, receiver, excused in (("to the guest", host, guest, guest["missed"] + dropped),
                                                ("to the host", guest, host, 0)):
            good = (sender["sent"] > 100 and receiver["doubled"] == 0 and receiver["damaged"] == 0 and
                    sender["sent"] - receiver["received"] <= excused)
            check(good, f"two-way traffic {name}, {self.seconds} s: sent {sender['sent']} received {receiver['received']} "
                        f"lost {receiver['lost']} doubled {receiver['doubled']} damaged {receiver['damaged']}, "
                        f"missed {excused}")
        return "done"


def numbers(words):
    return {words[i]: int(words[i + 1]) for i in range(0, len(words) - 1, 2)}


# --- the guest


def control(path, line):
    """One command for serve's control socket; its answer."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
        s.connect(path)
        s.sendall(line.encode() + b"\n")
        return s.makefile().readline().strip()


class Qmp:
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.connect(path)
        self.lines = self.socket.makefile("rw")
        self.lines.readline()
        self("qmp_capabilities")

    def __call__(self, command, **words):
        self.lines.write(json.dumps({"execute": command, "arguments": words}))
        self.lines.flush()
        while True:
            answer = json.loads(self.lines.readline() or '{"error": "QEMU is gone"}')
            if "error" in answer:
                raise RuntimeError(f"QEMU's answer to {command} was {answer['error']}")
            if "return" in answer:
                return answer["return"]

    def close(self):
        self.lines.close()
        self.socket.close()


def qmp(path, command, **words):
    """One command; "done", or the reason why not."""
    try:
        there = Qmp(path)
        there(command, **words)
        there.close()
    except (OSError, RuntimeError) as error:
        return str(error)
    return "done"


def socket_device(path, **words):
    """QEMU's option for a PCI device of a vfio-user server."""
    return ["-device", json.dumps({"driver": "vfio-user-pci", "x-msg-timeout": 60000,
                                   "socket": {"path": path, "type": "unix"}, **words})]


def listen(path, kind=socket.SOCK_STREAM):
    listener = socket.socket(socket.AF_UNIX, kind)
    listener.bind(path)
    listener.listen(1)
    return listener


def qemu(program, kernel, initramfs, tmp, words, *devices, ram="memory-backend-memfd,share=on", mebibytes=256, cpus=1,
         cpu="qemu64", silence=240, name=""):
    """A guest in QEMU, by TCG, with its console on a socket. The process and the console."""
    listener = listen(f"{tmp}/tty{name}")
    process = start(program, "-accel", "tcg,thread=multi", "-M", "q35,memory-backend=ram0", "-cpu", cpu, "-smp", str(cpus),
                    "-m", str(mebibytes), "-nodefaults", "-no-user-config", "-display", "none",
                    "-object", f"{ram},id=ram0,size={mebibytes}M", "-kernel", kernel, "-initrd", initramfs,
                    "-append", f"{WORDS} {words}", "-chardev", f"socket,id=tty,path={tmp}/tty{name}",
                    "-serial", "chardev:tty", "-qmp", f"unix:{tmp}/qmp{name},server=on,wait=off", *devices,
                    stdin=subprocess.DEVNULL)
    wait_for("QEMU's console", lambda: process.poll() is not None or select.select([listener], [], [], 0)[0], 60)
    if process.poll() is not None:
        raise RuntimeError("QEMU ended at once")
    console, _ = listener.accept()
    console.settimeout(silence)
    return process, console


def uml(initramfs, tmp, words, *devices, mebibytes=256, silence=240):
    """A guest in User-Mode Linux, with its console on a socket. The process, whose group is the guest, and the console."""
    console, inside = socket.socketpair()
    # Its RAM is a file of $TMPDIR. Without setarch -R its RAM would begin elsewhere each time.
    process = start("setarch", "-R", "linux.uml", f"mem={mebibytes}M", f"initrd={initramfs}", "con=null", "con0=fd:0,fd:1",
                    "console=tty0", "quiet", *words.split(), *devices, stdin=inside, stdout=inside,
                    stderr=subprocess.DEVNULL, start_new_session=True, env={**os.environ, "TMPDIR": tmp})
    inside.close()
    console.settimeout(silence)
    return process, console


def follow(console, ask, log, prefix=""):
    """The transcript, line by line, until the host's answer to one is OVER. At the guest's end it is asked "eof"."""
    try:
        for line in console.makefile("r", errors="replace", newline="\n"):
            line = line.rstrip("\r\n")
            log.write(line + "\n")
            log.flush()
            if line.startswith("| "):
                say("| " + prefix + line[2:])
            elif line.startswith("ok "):
                check(True, prefix + line[3:])
            elif line.startswith("FAILED "):
                check(False, prefix + line[7:])
            elif line.startswith("@host "):
                answer = ask(*line.split()[1:])
                if answer is OVER:
                    return
                log.write(f"   host: {answer}\n")
                if answer is not None:
                    console.sendall(answer.encode() + b"\n")
    except (ConnectionResetError, BrokenPipeError):
        pass  # it was killed before it read our answer: an end as any other
    if ask("eof") is not OVER:
        raise RuntimeError("the guest ended early")


def finish(begin, *logs):
    """After the rig: end what runs, show the logs if a check failed. The exit code."""
    end_all()
    say(f"{checks} checks in {time.time() - begin:.0f} s; transcript: {logs[0]}")
    if failed:
        for log in logs:
            if os.path.exists(log):
                say(f"the end of {log}:")
                say("".join(open(log, errors="replace").readlines()[-30:]))
    return failed != 0
