# ruff: noqa: INP001 - an example, no package
"""Send an order to a demo's HL7 listener and print the answer; needs only Python.

python docs/examples/hl7_order.py 10575 [record number]
"""

import socket
import sys
import time

START, END = b"\x0b", b"\x1c\x0d"


def main() -> None:
    """Send one order for a wrist."""
    port = int(sys.argv[1])
    record_number = sys.argv[2] if len(sys.argv) > 2 else "HL7-1"
    now = time.strftime("%Y%m%d%H%M%S+0000", time.gmtime())
    number = str(time.time_ns())[:16]
    header = "MSH|^~\\&|DEMO_RIS|harbour|FRACTURE_SITE||"
    message = "\r".join(
        [
            f"{header}{now}||ORM^O01^ORM_O01|{number}|P|2.5.1||||||UNICODE UTF-8",
            f"PID|1||{record_number}^^^^MR||Example^Ada||19800501|F",
            f"ORC|NW|{number}|||||^^^{now}^^S",
            f"OBR|1|{number}||XRW^Wrist left 2 views|||||||||Fall on the outstretched hand",
            "",
        ]
    )
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(START + message.encode() + END)
        answer = b""
        while not answer.endswith(END) and (part := connection.recv(4096)):
            answer += part
    sys.stdout.write(answer.strip(START + END).decode().replace("\r", "\n") + "\n")


if __name__ == "__main__":
    main()
