"""Thrift's official protocols for jaeger-client's generated code, which has `binary` members written and read as text: here such a text
may be bytes."""
from thrift.protocol.TBinaryProtocol import TBinaryProtocol
from thrift.protocol.TCompactProtocol import TCompactProtocol


class Bytes:
    def writeString(self, text):
        self.writeBinary(text if isinstance(text, bytes) else text.encode())

    def readString(self):
        return self.readBinary().decode(errors="surrogateescape")


class Binary(Bytes, TBinaryProtocol):
    pass


class Compact(Bytes, TCompactProtocol):
    pass
