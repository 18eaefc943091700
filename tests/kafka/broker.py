#!/usr/bin/env python3
"""A real Kafka broker for tests: one KRaft node on ports of 127.0.0.1 that were free.

  tests/kafka/broker.py [DIRECTORY]    starts one, prints `bootstrap 127.0.0.1:PORT`, runs until Ctrl-C

Needs Java 17 and Maven, which fetches the broker's jars into build/kafka once (about 50 MB). As a module: Broker(directory)."""
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
POM = ROOT / "tests" / "kafka" / "pom.xml"
LIBS = ROOT / "build" / "kafka" / "libs"
MEMORY = "-Xmx384m"
START_SECONDS = 90
ENDING = {signal.SIGINT, signal.SIGTERM}

SETTINGS = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}{more_listeners}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}{more_listeners}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL:SASL_SSL
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs={data}
num.partitions=4
offsets.topic.num.partitions=4
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
message.max.bytes=8000000
log.segment.bytes=33554432
"""


def missing():
    """What this machine lacks, as text; empty when a broker can be started."""
    return ", ".join(tool for tool in ("java", "mvn") if not shutil.which(tool))


def fetch():
    """The jars, once per version of the pom."""
    stamp = LIBS.parent / "pom.xml"
    if stamp.is_file() and stamp.read_bytes() == POM.read_bytes():
        return
    shutil.rmtree(LIBS, ignore_errors=True)
    LIBS.mkdir(parents=True)
    done = subprocess.run(["mvn", "-q", "-B", "-f", str(POM), "dependency:copy-dependencies", f"-DoutputDirectory={LIBS}",
                           "-DincludeScope=runtime"], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"mvn failed:\n{done.stdout[-4000:]}{done.stderr[-4000:]}")
    shutil.copyfile(POM, stamp)


def free_ports(n):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(n)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


def accepts(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    except OSError:
        return False


class Broker:
    """A broker with its data in `directory`. `more` are further lines of its settings, `listener` a further listener's name. After
    stop() it can be started again on the same ports."""

    def __init__(self, directory, listener=None, more=""):
        fetch()
        self.directory = pathlib.Path(directory)
        self.port, controller, self.other_port = free_ports(3)
        self.bootstrap = f"127.0.0.1:{self.port}"
        self.settings = self.directory / "server.properties"
        self.settings.write_text(SETTINGS.format(
            port=self.port, controller=controller, data=self.directory / "log",
            more_listeners=f",{listener}://127.0.0.1:{self.other_port}" if listener else "") + more)
        self._java("kafka.tools.StorageTool", "format", "-t", "MkU3OEVBNTcwNTJENDM2Qg", "-c", str(self.settings), wait=True)
        self.process = None
        self.start()

    def _java(self, main, *arguments, wait=False):
        command = ["java", MEMORY, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", f"{LIBS}/*", main, *arguments]
        if wait:
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                raise RuntimeError(done.stdout + done.stderr)
            return None
        with open(self.directory / "broker.log", "ab") as log:
            return subprocess.Popen(command, stdout=log, stderr=log, cwd=self.directory)

    def run_source(self, file, *arguments):
        """Runs a program beside this file, with the broker's jars."""
        done = subprocess.run(["java", "-XX:TieredStopAtLevel=1", "-cp", f"{LIBS}/*", str(POM.parent / file), *arguments],
                              capture_output=True, text=True, timeout=120)
        if done.returncode:
            raise RuntimeError(done.stdout + done.stderr)

    def start(self):
        self.process = self._java("kafka.Kafka", str(self.settings))
        deadline = time.monotonic() + START_SECONDS
        pause = threading.Event()
        while not accepts(self.port):
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise RuntimeError((self.directory / "broker.log").read_text()[-4000:])
            pause.wait(0.1)

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
        if self.process:
            self.process.wait()


def main():
    signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    directory = sys.argv[1] if len(sys.argv) > 1 else tempfile.mkdtemp(prefix="kafka-")
    pathlib.Path(directory).mkdir(parents=True, exist_ok=True)
    broker = Broker(directory)
    print(f"bootstrap {broker.bootstrap}", flush=True)
    signal.sigwait(ENDING)
    broker.stop()


if __name__ == "__main__":
    main()
