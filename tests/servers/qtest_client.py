# SPDX-License-Identifier: BSD-3-Clause
"""A client of the qtest protocol as QEMU's libqtest is one: it listens, the server connects."""
import json
import os
import select
import signal
import socket
import subprocess
import tempfile

PATIENCE = 30  # seconds for an answer; a test that waits longer has failed


class Lines:
    """Lines of a socket."""

    def __init__(self, sock):
        self.sock, self.bytes = sock, b""
        sock.settimeout(PATIENCE)

    def read(self):
        while b"\n" not in self.bytes:
            more = self.sock.recv(65536)
            if not more:
                raise EOFError("the server has gone")
            self.bytes += more
        line, self.bytes = self.bytes.split(b"\n", 1)
        return line.decode().rstrip("\r")


class Server:
    """One server. irq is the set of interrupt lines that are high; raised counts how often each rose."""

    def __init__(self, binary, *arguments, fds=(), qmp=True, accel="qtest"):
        self.irq, self.raised, self.events = set(), {}, []
        with tempfile.TemporaryDirectory() as folder:
            names = [os.path.join(folder, name) for name in ("qtest", "qmp")]
            listeners = [socket.socket(socket.AF_UNIX) for _ in names]
            for listener, name in zip(listeners, names):
                listener.bind(name)
                listener.listen(1)
                listener.settimeout(PATIENCE)
            command = [binary, "-qtest", f"unix:{names[0]}", "-qtest-log", "/dev/null", "-chardev",
                       f"socket,path={names[1]},id=char0", "-mon", "chardev=char0,mode=control", "-display", "none",
                       *arguments, "-accel", accel]
            self.process = subprocess.Popen(command, pass_fds=fds, stderr=subprocess.PIPE, text=True)
            try:
                self.lines, self.monitor = (Lines(listener.accept()[0]) for listener in listeners)
            except TimeoutError:
                self.process.kill()
                raise RuntimeError(self.process.stderr.read()) from None
            for listener in listeners:
                listener.close()
        assert self.ask("endianness") == "little"
        if qmp:
            self.greeting = json.loads(self.monitor.read())
            assert self.qmp("qmp_capabilities") == {"return": {}}

    # --- the monitor

    def qmp(self, command, **arguments):
        request = {"execute": command}
        if arguments:
            request["arguments"] = arguments
        return self.qmp_raw(json.dumps(request) + "\n")

    def qmp_raw(self, text):
        self.monitor.sock.sendall(text.encode("latin-1"))
        while True:
            answer = json.loads(self.monitor.read())
            if "event" not in answer:
                return answer
            self.events.append(answer)

    def event(self, name):
        """Wait for an event, and forget those before it."""
        while True:
            while self.events:
                event = self.events.pop(0)
                if event["event"] == name:
                    return event
            self.events.append(json.loads(self.monitor.read()))

    # --- the machine

    def answer(self):
        """The next answer; what interrupt lines did on the way is noted."""
        while True:
            word, _, rest = self.lines.read().partition(" ")
            if word != "IRQ":
                return word, rest
            verb, number = rest.split()
            if verb == "raise":
                self.irq.add(int(number))
                self.raised[int(number)] = self.raised.get(int(number), 0) + 1
            else:
                self.irq.discard(int(number))

    def tell(self, line):
        self.lines.sock.sendall(line.encode() + b"\n")
        return self.answer()

    def ask(self, line):
        word, rest = self.tell(line)
        assert word == "OK", f"{line}: {word} {rest}"
        return rest

    def inb(self, port):
        return int(self.ask(f"inb {port:#x}"), 0)

    def inw(self, port):
        return int(self.ask(f"inw {port:#x}"), 0)

    def inl(self, port):
        return int(self.ask(f"inl {port:#x}"), 0)

    def outb(self, port, value):
        self.ask(f"outb {port:#x} {value:#x}")

    def outw(self, port, value):
        self.ask(f"outw {port:#x} {value:#x}")

    def outl(self, port, value):
        self.ask(f"outl {port:#x} {value:#x}")

    def read(self, address, length):
        return bytes.fromhex(self.ask(f"read {address:#x} {length}")[2:])

    def write(self, address, data):
        self.ask(f"write {address:#x} {len(data)} 0x{data.hex()}")

    def step(self, ns=None):
        return int(self.ask("clock_step" if ns is None else f"clock_step {ns}"))

    # --- PCI by mechanism 1, as libqos does it: the whole offset goes to CF8h

    def config(self, slot, offset, size=4, value=None, function=0):
        self.outl(0xcf8, 1 << 31 | slot << 11 | function << 8 | offset)
        if value is None:
            return {1: self.inb, 2: self.inw, 4: self.inl}[size](0xcfc)
        return {1: self.outb, 2: self.outw, 4: self.outl}[size](0xcfc, value)

    def functions(self):
        """{(slot, function): (vendor, device)} of bus 0."""
        found = {}
        for slot in range(32):
            for function in range(8):
                vendor = self.config(slot, 0, 2, function=function)
                if vendor != 0xffff:
                    found[slot, function] = vendor, self.config(slot, 2, 2, function=function)
        return found

    # --- the end

    def status(self):
        """What the server ends with; for one that was told to end."""
        self.lines.sock.close()
        self.monitor.sock.close()
        try:
            _, self.said = self.process.communicate(timeout=PATIENCE)
        finally:
            self.process.kill()
        return self.process.returncode

    def terminate(self):
        self.process.send_signal(signal.SIGTERM)
        return self.status()


def readable(sock):
    return bool(select.select([sock], [], [], 0)[0])
