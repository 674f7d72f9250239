# A service manager's notification socket: binds the datagram socket that is named ("@name" is abstract) and prints each
# datagram as a line of JSON.
import json
import socket
import sys

path = sys.argv[1]
manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
manager.bind("\0" + path[1:] if path.startswith("@") else path)
print(json.dumps("bound"), flush=True)
while True:
    print(json.dumps(manager.recv(4096).decode()), flush=True)
