"""The wire: Connect RPC with JSON messages, over HTTP/1.1 on a unix socket.

A unary call is a POST of one JSON object to /PACKAGE.SERVICE/METHOD. It is
answered by status 200 and a JSON object, or by another status and the object
{"code": KIND, "message": TEXT}.

A call with a stream of answers has content type application/connect+json. Each
message, the request too, is an envelope: one byte of flags, four bytes of length
(big endian), and the JSON. The last envelope has flag 2 and holds {} or
{"error": {"code": KIND, "message": TEXT}}. The status is always 200.

Specification: https://connectrpc.com/docs/protocol
"""

import contextlib
import http.server
import json
import os
import select
import socket
import socketserver
import struct
import threading

# HTTP status of each kind of error that this plugin uses.
STATUS = {
    "invalid_argument": 400,
    "failed_precondition": 400,
    "permission_denied": 403,
    "not_found": 404,
    "already_exists": 409,
    "aborted": 409,
    "resource_exhausted": 429,
    "internal": 500,
    "unimplemented": 501,
    "unavailable": 503,
}

UNARY = "application/json"
STREAM = "application/connect+json"
LARGEST_REQUEST = 4 << 20
END_OF_STREAM = 2


class Failure(Exception):
    """An error as the caller sees it: a kind of STATUS, and a text that names
    the thing and says what to do."""

    def __init__(self, kind, text):
        super().__init__(text)
        self.kind = kind
        self.text = text

    @classmethod
    def join(cls, failures):
        """Makes one of several: the kind of the first, a line for each."""
        return cls(failures[0].kind, "\n".join(f.text for f in failures))

    def to_json(self):
        return {"code": self.kind, "message": self.text}


class Stream:
    """The answers of one call, for as long as the caller wants them."""

    def __init__(self, handler):
        self._handler = handler
        self._wake, self._woken = socket.socketpair()
        self.peer = handler.peer

    def send(self, message):
        self._handler.send_envelope(0, message)

    def wake(self):
        """Makes wait return; for other threads."""
        try:
            self._wake.send(b"x")
        except OSError:
            pass  # the call has ended

    def wait(self):
        """Returns True after wake, False when the caller has gone."""
        poll = select.poll()
        poll.register(self._handler.connection, select.POLLIN | select.POLLRDHUP)
        poll.register(self._woken, select.POLLIN)
        ready = {fd for fd, _ in poll.poll()}
        if self._handler.connection.fileno() in ready:
            return False  # nothing follows a request but the end
        self._woken.recv(4096)
        return True

    def close(self):
        self._wake.close()
        self._woken.close()


class Handler(http.server.BaseHTTPRequestHandler):
    """Decodes a call, makes it, and encodes its answer."""

    protocol_version = "HTTP/1.1"
    timeout = None

    def setup(self):
        super().setup()
        credentials = self.connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        self.peer, self.uid, _ = struct.unpack("3i", credentials)

    def do_POST(self):
        body = self.read_body()
        kind = self.headers.get("Content-Type", "").split(";")[0].strip()
        method = self.path.rpartition("/")[2]
        if self.uid not in (0, os.geteuid()):
            self.answer_failure(Failure("permission_denied", f"user {self.uid} may not call this socket: want root"))
        elif kind == UNARY:
            self.unary(method, body)
        elif kind == STREAM:
            self.stream(method, body)
        else:
            self.answer(415, b"")

    def read_body(self):
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(self.limited(int(self.headers.get("Content-Length", 0))))
        body = b""
        while True:
            size = int(self.rfile.readline().split(b";")[0], 16)
            if size == 0:
                while self.rfile.readline().strip():
                    pass  # trailers
                return body
            body += self.rfile.read(self.limited(size, len(body)))
            self.rfile.readline()

    @staticmethod
    def limited(size, before=0):
        if size + before > LARGEST_REQUEST:
            raise ValueError(f"a request of more than {LARGEST_REQUEST} bytes")
        return size

    def unary(self, method, body):
        try:
            result = self.call(self.server.calls, method, self.decode(body))
            self.answer(200, json.dumps(result).encode())
        except Failure as failure:
            self.answer_failure(failure)

    def answer_failure(self, failure):
        self.answer(STATUS[failure.kind], json.dumps(failure.to_json()).encode())

    def answer(self, status, content):
        self.send_response(status)
        self.send_header("Content-Type", UNARY)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def stream(self, method, body):
        self.send_response(200)
        self.send_header("Content-Type", STREAM)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        with self.server.one_more_stream():
            answers, end = Stream(self), {}
            try:
                self.call(self.server.streams, method, self.decode(body[5:]), answers)  # an envelope's head is five bytes
            except Failure as failure:
                end = {"error": failure.to_json()}
            finally:
                answers.close()
            self.send_envelope(END_OF_STREAM, end)
            self.wfile.write(b"0\r\n\r\n")

    @staticmethod
    def decode(content):
        try:
            message = json.loads(content or b"{}")
        except ValueError as error:
            raise Failure("invalid_argument", f"request: {error}") from error
        if not isinstance(message, dict):
            raise Failure("invalid_argument", "request: want a JSON object")
        return message

    def send_envelope(self, flags, message):
        content = json.dumps(message).encode()
        envelope = struct.pack(">BI", flags, len(content)) + content
        self.wfile.write(b"%x\r\n%s\r\n" % (len(envelope), envelope))

    def call(self, methods, name, *arguments):
        """Finds a method and calls it. What is no Failure is a mistake of this
        program: it goes to the log, and the caller is told so."""
        method = methods.get(name)
        if method is None:
            raise Failure("unimplemented", f"{name}: this plugin does not have it")
        try:
            return method(*arguments)
        except (Failure, BrokenPipeError, ConnectionResetError):
            raise
        except Exception as mistake:
            self.server.log.exception("call of %s", name)
            raise Failure("internal", f"{name}: {mistake!r}") from mistake

    def log_message(self, *_):
        pass  # calls are not logged

    def address_string(self):
        return f"process {self.peer}"


class Server(socketserver.ThreadingMixIn, socketserver.BaseServer):
    """Serves calls on a listening socket, each connection in a thread. calls are
    the unary methods by name, streams those with a stream of answers."""

    daemon_threads = True

    def __init__(self, listener, calls, streams, log):
        super().__init__(listener.getsockname(), Handler)
        self.socket = listener
        self.calls = calls
        self.streams = streams
        self.log = log
        self._open = 0
        self._none_open = threading.Condition()

    @contextlib.contextmanager
    def one_more_stream(self):
        with self._none_open:
            self._open += 1
        try:
            yield
        finally:
            with self._none_open:
                self._open -= 1
                self._none_open.notify_all()

    def finish(self):
        """Waits until all streams have ended, for a moment: somebody waits for the
        end of this process."""
        with self._none_open:
            self._none_open.wait_for(lambda: self._open == 0, timeout=1)

    def fileno(self):
        return self.socket.fileno()

    def get_request(self):
        return self.socket.accept()

    def shutdown_request(self, request):
        request.close()

    def handle_error(self, request, client_address):
        self.log.debug("connection was lost", exc_info=True)
